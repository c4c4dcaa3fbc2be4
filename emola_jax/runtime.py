"""Processes and devices, set up before the first array is made.

Several processes ("hosts") make one run when each is started with the same command and:

- on a TPU slice, under SLURM or Open MPI, nothing else: JAX finds its peers;
- anywhere else, the flags --coordinator (host:port of process 0), --processes and --process (from
  0), or the environment variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.
  Two processes on one machine are two hosts as well; on CPUs they talk through gloo, which JAX
  brings along.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
import orbax.checkpoint as ocp
from absl import logging

from emola_jax import assets, host_memory
from emola_jax.errors import UserError

HOST_VARIABLES = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
"""Who the processes of a run are, set by hand: all three or none."""

_PATIENCE = 3600 * 1000
"""Milliseconds that hosts wait for one that has more to do; a dead one is noticed long before."""

_SILENCE = 20
"""Seconds without a sign of life until a host counts as lost."""


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The processes of a run, named by hand.

    Attributes:
      coordinator: host:port of process 0.
      processes: how many there are.
      process: which of them this is, from 0.
    """

    coordinator: str
    processes: int
    process: int


def start(config: ml_collections.ConfigDict, hosts: Hosts | None = None) -> None:
    """Joins the other processes of a run, splits the CPU, opens the compilation cache.

    `config.cpu_devices` virtual devices share a machine without an accelerator: the batch is split
    over them. One of them uses all cores for every product, which is mostly faster.

    Args:
      config: the experiment.
      hosts: from the command line; None leaves it to the environment.

    Raises:
      UserError: see `join_hosts`.
    """
    logging.set_verbosity(logging.ERROR)  # orbax tells every rename at INFO, amid the progress bars
    jax.config.update('jax_compilation_cache_dir', str(assets.cache_dir() / 'compiled'))
    given = 'xla_force_host_platform_device_count' in os.environ.get('XLA_FLAGS', '')
    if config.cpu_devices and not given:
        jax.config.update('jax_num_cpu_devices', config.cpu_devices)
        if config.cpu_devices == 1:
            host_memory.keep()
    join_hosts(hosts)


def join_hosts(hosts: Hosts | None = None) -> None:
    """Connects this process to the others of its run, if it is told that there are any.

    Args:
      hosts: who they are; None asks the environment.

    Raises:
      UserError: a variable is missing or is no number.
    """
    hosts = hosts or _by_environment()
    limits: Any = {
        'heartbeat_timeout_seconds': _SILENCE,
        'shutdown_timeout_seconds': _SILENCE,
    }
    if hosts is not None:
        jax.distributed.initialize(
            hosts.coordinator,
            hosts.processes,
            hosts.process,
            cluster_detection_method='deactivate',
            **limits,
        )
    elif _in_cluster():
        jax.distributed.initialize(**limits)


def _by_environment() -> Hosts | None:
    by_hand = {name: os.environ[name] for name in HOST_VARIABLES if os.environ.get(name)}
    if not by_hand:
        return None
    address, *numbers = (by_hand.get(name, '') for name in HOST_VARIABLES)
    if not address or not all(number.isdecimal() for number in numbers):
        raise UserError(
            f'environment: found {by_hand}; expected all of {", ".join(HOST_VARIABLES)}: host:port '
            'of process 0, how many processes there are, and which of them this is (from 0)'
        )
    processes, process = map(int, numbers)
    return Hosts(address, processes, process)


def _in_cluster() -> bool:
    """Whether JAX finds the processes of a run: those of SLURM or Open MPI, or a slice's hosts."""
    return (
        bool(os.environ.get('SLURM_JOB_ID'))
        or int(os.environ.get('OMPI_COMM_WORLD_SIZE', '1')) > 1
        or ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')
    )


@contextlib.contextmanager
def all_or_none() -> Iterator[None]:
    """What runs in it ends on every host together, and with a sentence where one of them is lost.

    Raises:
      UserError: another host died or was lost.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise UserError(
            f'host {jax.process_index()} lost another host of the run '
            f'({" ".join(str(error).split())[:200]}); start the same command again on every host: '
            'it goes on from the newest checkpoint'
        ) from error
    wait_for_hosts('the run is done')


def wait_for_hosts(point: str) -> None:
    """Waits until every host of the run is here; does nothing in a run of one.

    The processes wait for each other without their devices, unlike in JAX's `sync_global_devices`:
    gloo gives up on a peer that comes half a minute later to their first collective.
    """
    ocp.multihost.get_barrier_sync_fn()(key=point, timeout_ms=_PATIENCE)
