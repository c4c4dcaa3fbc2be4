"""Starts processes that make one run, each with devices of its own."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(('localhost', 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def hosts(module, *arguments, count=2, devices=2):
    """`count` processes of `python -m module arguments`; those that still run at the end die."""
    address = f'localhost:{free_port()}'
    started = [
        subprocess.Popen(
            [sys.executable, '-m', module, *arguments],
            cwd=CHECKOUT,
            env={
                **os.environ,
                'JAX_COORDINATOR_ADDRESS': address,
                'JAX_NUM_PROCESSES': str(count),
                'JAX_PROCESS_ID': str(number),
                'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(count)
    ]
    try:
        yield started
    finally:
        for host in started:
            host.kill()
