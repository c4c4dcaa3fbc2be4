"""Two processes that talk to each other make one run."""

import json

import jax
import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.parallel import hosts as runtime
from emola_jax.parallel import sharding
from tests.evaluating_host import evaluate_all
from tests.host_processes import hosts

SETTINGS = {'count': 13, 'batch_size': 4, 'temperature': 1.0}


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
    arguments = (str(tmp_path / 'two'), json.dumps(shape), json.dumps(SETTINGS))
    with hosts('tests.evaluating_host', *arguments) as pair:
        mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:2]).reshape(2, 1, 1), sharding.MESH_AXES)
        evaluate_all(tmp_path / 'one', mesh, **SETTINGS)
        outputs = [host.communicate(timeout=600)[0] for host in pair]
    assert [host.returncode for host in pair] == [0, 0], '\n'.join(outputs)[-4000:]
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
