"""Processes and devices, set up before the first array is made.

Several processes ("hosts") make one run when each is started with the same command and:

- on a TPU slice or under SLURM, nothing else: JAX finds its peers;
- anywhere else, three environment variables that differ in the last: JAX_COORDINATOR_ADDRESS
  (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID (from 0). Two processes on one
  machine are two hosts as well; on CPUs they talk through gloo, which JAX brings along.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

import jax
import ml_collections
import orbax.checkpoint as ocp
from absl import logging

from emola_jax import assets
from emola_jax.errors import UserError

HOST_VARIABLES = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
"""Who the processes of a run are, set by hand: all three or none."""

_PATIENCE = 3600 * 1000
"""Milliseconds that hosts wait for one that has more to do; a dead one is noticed long before."""


def start(config: ml_collections.ConfigDict) -> None:
    """Joins the other processes of a run, splits the CPU, opens the compilation cache.

    `config.cpu_devices` virtual devices share a machine without an accelerator: the batch is split
    over them, which uses the cores better than threads inside one device.

    Raises:
      UserError: see `join_hosts`.
    """
    keep_freed_memory()
    logging.set_verbosity(logging.ERROR)  # orbax tells every rename at INFO, amid the progress bars
    jax.config.update('jax_compilation_cache_dir', str(assets.cache_dir() / 'compiled'))
    given = 'xla_force_host_platform_device_count' in os.environ.get('XLA_FLAGS', '')
    if config.cpu_devices and not given:
        jax.config.update('jax_num_cpu_devices', config.cpu_devices)
    join_hosts()


def keep_freed_memory() -> None:
    """Lets glibc's allocator keep what is freed, in place of returning it to the system.

    A program on a CPU allocates its temporaries anew at every call. By default they are mapped and
    zeroed page by page each time, a fifth of what a training step of a small model costs. Does
    nothing with another C library.
    """
    if platform.libc_ver()[0] != 'glibc':
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in ((_ARENAS, 1), (_MAPPED_CHUNKS, 0), (_TRIM_ABOVE, -1)):
        mallopt(option, value)


def compile_apart(function: Any, *args: Any) -> None:
    """Compiles a jitted function for these arguments, and gives back what compiling left behind.

    So the memory of the compiler and that of the first call don't add up. The call finds the
    program.
    """
    function.lower(*args).compile()
    if platform.libc_ver()[0] == 'glibc':
        ctypes.CDLL(None).malloc_trim(0)


_ARENAS, _MAPPED_CHUNKS, _TRIM_ABOVE = -8, -4, -1
"""M_ARENA_MAX, M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h; a threshold of -1 is none."""


def join_hosts() -> None:
    """Connects this process to the others of its run, if the environment says there are any.

    Raises:
      UserError: a variable is missing or is no number.
    """
    by_hand = {name: os.environ[name] for name in HOST_VARIABLES if os.environ.get(name)}
    if not by_hand:
        if _in_cluster():
            jax.distributed.initialize()
        return
    address, *numbers = (by_hand.get(name, '') for name in HOST_VARIABLES)
    if not address or not all(number.isdecimal() for number in numbers):
        raise UserError(
            f'environment: found {by_hand}; expected all of {", ".join(HOST_VARIABLES)}: host:port '
            'of process 0, how many processes there are, and which of them this is (from 0)'
        )
    processes, process = map(int, numbers)
    jax.distributed.initialize(address, processes, process, cluster_detection_method='deactivate')


def _in_cluster() -> bool:
    """Whether JAX finds the processes of a run: under SLURM, or on a TPU slice of several hosts."""
    return bool(os.environ.get('SLURM_JOB_ID')) or ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')


def wait_for_hosts(point: str) -> None:
    """Waits until every host of the run is here; does nothing in a run of one.

    The processes wait for each other without their devices, unlike in JAX's `sync_global_devices`:
    gloo gives up on a peer that comes half a minute later to their first collective.
    """
    ocp.multihost.get_barrier_sync_fn()(key=point, timeout_ms=_PATIENCE)
