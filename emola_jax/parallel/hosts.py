"""Processes and devices, set up before the first array is made.

Several processes ("hosts") make one run when each is started with the same command and:

- on a TPU slice, under SLURM or Open MPI, nothing else: JAX finds its peers;
- anywhere else, the flags --coordinator (host:port of process 0), --processes and --process (from
  0), or the environment variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.
  Two processes on one machine are two hosts as well; on CPUs they talk through gloo, which JAX
  brings along.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from logging import LogRecord

import jax
import orbax.checkpoint as ocp
from absl import logging

from emola_jax.errors import Preempted, UserError
from emola_jax.files import assets
from emola_jax.parallel import cpu_memory, host_watch
from emola_jax.parallel.preemption import SILENCE

HOST_VARIABLES = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
"""Who the processes of a run are, set by hand: all three or none."""

_PATIENCE = 3600 * 1000
"""Milliseconds that hosts wait for one that has more to do; a dead one is noticed long before."""


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


def start(cpu_devices: int, hosts: Hosts | None = None, *, silence: int = SILENCE) -> None:
    """Joins the other processes of a run, splits the CPU, opens the compilation cache.

    `cpu_devices` virtual devices share a machine without an accelerator: the batch is split
    over them. One of them uses all cores for every product, which is mostly faster.

    Args:
      cpu_devices: how many; 0 leaves it to JAX.
      hosts: from the command line; None leaves it to the environment.
      silence: see `join_hosts`.

    Raises:
      UserError: see `join_hosts`.
    """
    logging.set_verbosity(logging.ERROR)  # orbax tells every rename at INFO, amid the progress bars
    # What it logs as an error, with tracebacks, it raises as well.
    logging.get_absl_logger().addFilter(_is_not_of_orbax)
    if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
        jax.config.update('jax_compilation_cache_dir', str(assets.cache_dir() / 'compiled'))
    given = 'xla_force_host_platform_device_count' in os.environ.get('XLA_FLAGS', '')
    if cpu_devices and not given:
        try:
            jax.config.update('jax_num_cpu_devices', cpu_devices)
        except RuntimeError:  # a program that calls this package has used its devices before
            if hosts is not None or _by_environment() is not None or _in_cluster():
                raise UserError(
                    'JAX has been used before the hosts of the run were joined; start emola_jax '
                    'before anything else that uses JAX'
                ) from None
            return
        if cpu_devices == 1:
            cpu_memory.keep()
    join_hosts(hosts, silence)


def _is_not_of_orbax(record: LogRecord) -> bool:
    return 'orbax' not in record.pathname


def join_hosts(hosts: Hosts | None = None, silence: int = SILENCE) -> None:
    """Connects this process to the others of its run, if it is told that there are any.

    Args:
      hosts: who they are; None asks the environment.
      silence: seconds without a sign of life that a host may be paused; twice as many are its loss.

    Raises:
      UserError: a variable is missing or is no number.
      Preempted: the others did not come.
    """
    hosts = hosts or _by_environment()
    if hosts is not None:
        host_watch.join(
            hosts.coordinator,
            hosts.processes,
            hosts.process,
            silence=silence,
            cluster_detection_method='deactivate',
        )
    elif _in_cluster():
        host_watch.join(silence=silence)


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
      Preempted: another host died or was lost, or all were told to leave.
    """
    watch = host_watch.watch()
    if watch is None:
        yield
        return
    try:
        yield
        wait_for_hosts('the run is done')
    except Preempted:
        with contextlib.suppress(Exception):
            jax.distributed.shutdown()  # together, or the first to go would be lost to the others
        raise
    except Exception as error:
        if why := _loss(error):
            watch.end_if_one_failed()
            raise Preempted(host_watch.lost(why)) from error
        watch.failed(str(error) if isinstance(error, UserError) else type(error).__name__)
        atexit.register(os._exit, 1)  # not to wait for the others at the end
        raise


_BY_NAME = re.compile('gloo|nccl|coordination', re.I)
_OF_OTHER_HOSTS = re.compile('peer|connection|socket|barrier|heartbeat|unavailable|deadline', re.I)


def _loss(error: BaseException) -> str:
    """What JAX says of another host that was lost, if that is the error or its cause.

    It says so with several kinds of exceptions, and a library may wrap them.
    """
    seen: BaseException | None = error
    while seen is not None:
        of_jax = isinstance(seen, jax.errors.JaxRuntimeError)
        may_be = of_jax or not isinstance(seen, UserError)
        said = str(seen)
        if (may_be and _BY_NAME.search(said)) or (of_jax and _OF_OTHER_HOSTS.search(said)):
            return ' '.join(said.split())[:200]
        seen = seen.__cause__ or seen.__context__
    return ''


def wait_for_hosts(point: str) -> None:
    """Waits until every host of the run is here; does nothing in a run of one.

    The processes wait for each other without their devices, unlike in JAX's `sync_global_devices`:
    gloo gives up on a peer that comes half a minute later to their first collective.
    """
    ocp.multihost.get_barrier_sync_fn()(key=point, timeout_ms=_PATIENCE)
