"""Two processes that talk to each other make one run."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from emola_jax import runtime, sharding
from emola_jax.errors import UserError
from tests.evaluating_host import evaluate_all

CHECKOUT = Path(__file__).parent.parent
SETTINGS = {'count': 13, 'batch_size': 4, 'temperature': 1.0}


def free_port():
    with socket.socket() as probe:
        probe.bind(('localhost', 0))
        return probe.getsockname()[1]


def start_host(number, address, *arguments):
    variables = {
        'JAX_COORDINATOR_ADDRESS': address,
        'JAX_NUM_PROCESSES': '2',
        'JAX_PROCESS_ID': str(number),
        'XLA_FLAGS': '--xla_force_host_platform_device_count=2',
    }
    return subprocess.Popen(
        [sys.executable, '-m', 'tests.evaluating_host', *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def files(workdir):
    return {
        name: (workdir / name).read_bytes()
        for name in (
            'predictions.jsonl',
            'control/predictions.jsonl',
            'scores_False.json',
            'scores_True.json',
        )
    }


# Either has weights of which each host holds a part; in the second every row lies on both hosts.
@pytest.mark.slow
@pytest.mark.parametrize('shape', [(1, 2, 2), (1, 1, 4)])
def test_two_hosts_write_what_one_writes(shape, tmp_path):
    address = f'localhost:{free_port()}'
    arguments = (str(tmp_path / 'two'), json.dumps(shape), json.dumps(SETTINGS))
    hosts = [start_host(number, address, *arguments) for number in (0, 1)]
    try:
        mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:2]).reshape(2, 1, 1), sharding.MESH_AXES)
        evaluate_all(tmp_path / 'one', mesh, **SETTINGS)
        outputs = [host.communicate(timeout=600)[0] for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [0, 0], '\n'.join(outputs)[-4000:]
    assert files(tmp_path / 'two') == files(tmp_path / 'one')
    assert len(files(tmp_path / 'one')['predictions.jsonl'].splitlines()) == 13


@pytest.mark.parametrize(
    'variables',
    [
        {'JAX_PROCESS_ID': '0'},
        {'JAX_COORDINATOR_ADDRESS': 'localhost:1', 'JAX_NUM_PROCESSES': '2'},
        {
            'JAX_COORDINATOR_ADDRESS': 'localhost:1',
            'JAX_NUM_PROCESSES': 'two',
            'JAX_PROCESS_ID': '0',
        },
    ],
)
def test_half_of_the_environment_is_refused(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match='JAX_NUM_PROCESSES, JAX_PROCESS_ID'):
        runtime.join_hosts()
