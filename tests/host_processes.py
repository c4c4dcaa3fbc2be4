"""Starts processes that make one run, each with devices of its own."""

import contextlib
import socket
import subprocess
import sys
import time

from tests import child_processes


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


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
            cwd=child_processes.CHECKOUT,
            env={
                **child_processes.quick(devices),
                'JAX_COORDINATOR_ADDRESS': address,
                'JAX_NUM_PROCESSES': str(count),
                'JAX_PROCESS_ID': str(number),
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
