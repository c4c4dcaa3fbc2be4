"""What the hosts of a run say to each other without their devices: who leaves, fails or is lost.

They say it through the key-value store of JAX's coordination service, which lives in process 0. Its
own listener for SIGTERM is off: it would swallow the signal everywhere but in a training loop.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import threading
import time
from collections.abc import Iterator
from typing import Protocol

import jax
from jax._src import distributed  # the client is nowhere public

from emola_jax.errors import Preempted
from emola_jax.parallel import preemption

_LEAVING, _FAILED = 'emola_jax/leaving/', 'emola_jax/failed/'
_EVERY = 1.0
"""Seconds between two looks at what the others say."""

_ANSWER = 20_000
"""Milliseconds in which every host says where it is; one that is paused may not."""

_LINGER = 2.0
"""Seconds that process 0 stays after its last word, which the others get from it."""

_AT_ONCE = -1
"""What a host says that is not in a training loop, and so has no step to save."""


class _Client(Protocol):
    """What is used of JAX's client, which is private."""

    def key_value_set(self, key: str, value: str) -> None: ...

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]: ...

    def blocking_key_value_get(self, key: str, timeout_in_ms: int) -> str: ...


class HostWatch:
    """Hears, in a thread of its own, that a host was told to leave, or has failed.

    In a training loop all hosts then agree on the step behind which they stop; anywhere else they
    leave at once.
    """

    def __init__(self, client: _Client, host: int, count: int):
        """`client` is JAX's; this process is `host` of `count`."""
        self._client, self._host, self._count = client, host, count
        self._told, self._closed = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._step: int | None = None
        self._stop: int | None = None
        self._thread = threading.Thread(target=self._watch, name='hosts', daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """This host was told to leave; returns at once."""
        self._told.set()

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """A training loop, which calls `stops_behind` at every step."""
        try:
            yield
        finally:
            with self._lock:
                self._step = None
        if self._stop is not None:  # it came with the last step
            raise Preempted(preemption.BY_SIGTERM)

    def stops_behind(self, step: int) -> bool:
        """Whether all hosts stop behind `step`, which this one has started."""
        with self._lock:
            self._step = step
            return self._stop is not None and step >= self._stop

    def failed(self, sentence: str) -> None:
        """Tells the others why this host ends, so that they end too."""
        with contextlib.suppress(Exception):
            self._client.key_value_set(f'{_FAILED}{self._host}', sentence)
        self._linger()

    def close(self) -> None:
        """Ends the thread; the client is about to go."""
        self._closed.set()
        self._told.set()
        self._thread.join(timeout=_EVERY)

    def end_if_one_failed(self) -> None:
        """Ends this process if another one has said why it failed."""
        for name, sentence in self._said(_FAILED):
            host = name.removeprefix(_FAILED)
            if host != str(self._host):
                preemption.end_process(1, f'{preemption.name()}: host {host} stopped: {sentence}')

    def _watch(self) -> None:
        while not self._told.wait(_EVERY):
            self.end_if_one_failed()
            if self._said(_LEAVING):
                break
        if not self._closed.is_set():
            self._agree()

    def _said(self, key: str) -> list[tuple[str, str]]:
        try:
            return list(self._client.key_value_dir_get(key))
        except Exception:  # the service is gone, or paused; its loss is noticed elsewhere
            return []

    def _agree(self) -> None:
        """The step behind which all stop: the first that no host is past.

        A host that waits for the others in a step is not asked itself, but its thread; nobody
        starts another step until all have answered.
        """
        with self._lock:
            own = _AT_ONCE if self._step is None else self._step + 1
            try:
                self._client.key_value_set(f'{_LEAVING}{self._host}', str(own))
                steps = [
                    int(self._client.blocking_key_value_get(f'{_LEAVING}{host}', _ANSWER))
                    for host in range(self._count)
                ]
            except Exception:  # a host is lost or paused, or said so before
                steps = [_AT_ONCE]
            self._stop = max(steps)
        if _AT_ONCE in steps:
            self._linger()
            preemption.end_process(
                Preempted.EXIT_STATUS, f'{preemption.name()}: {preemption.BY_SIGTERM}'
            )

    def _linger(self) -> None:
        if self._host == 0:
            time.sleep(_LINGER)


_watch: HostWatch | None = None


def watch() -> HostWatch | None:
    """That of this process; None in a run of one."""
    return _watch


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    silence: int,
    cluster_detection_method: str | None = None,
) -> None:
    """`jax.distributed.initialize`, with all that is above.

    Args:
      coordinator: host:port of process 0; None, here and below, is what JAX finds out.
      processes: how many there are.
      process: the number of this one.
      silence: seconds without a sign of life that are a pause, and no loss.
      cluster_detection_method: handed on.

    Raises:
      Preempted: the other hosts did not come.
    """
    global _watch
    jax.config.update('jax_enable_preemption_service', False)
    # A heartbeat comes every half of JAX's time-out, and process 0 has as long to answer it: so a
    # pause of half the time-out is survived for certain, and silence of all of it is not.
    try:
        with _lost_with_a_sentence():
            jax.distributed.initialize(
                coordinator,
                processes,
                process,
                cluster_detection_method=cluster_detection_method,
                heartbeat_timeout_seconds=2 * silence,
                shutdown_timeout_seconds=silence,
            )
    except jax.errors.JaxRuntimeError as error:
        raise Preempted(
            f'the other hosts of the run did not come ({" ".join(str(error).split())[:200]}); '
            'start the same command on every host'
        ) from error
    preemption.take_signals()
    state = distributed.global_state
    assert state.client is not None
    _watch = HostWatch(state.client, state.process_id, state.num_processes)
    atexit.register(_watch.close)  # before JAX's own, which takes the client away
    preemption.put_off_for_good(_watch.leave)


def lost(why: str = '') -> str:
    """The sentence of a host that is left alone."""
    host = distributed.global_state.process_id
    return (
        f'host {host} lost another host of the run{f" ({why})" if why else ""}; start the same '
        'command again on every host: it goes on from the newest checkpoint'
    )


@contextlib.contextmanager
def _lost_with_a_sentence() -> Iterator[None]:
    """JAX's client, made in here, ends this process with a sentence where it would abort it.

    It takes a callback for that, but jaxlib (0.10) cannot hand Python the status that it calls it
    with: the thread then ends in `std::terminate`, with std::bad_cast, which is caught as well.
    """
    module = distributed._jax
    original = module.get_distributed_runtime_client
    made = functools.partial(original, missed_heartbeat_callback=_end_alone)
    _catch_bad_cast()
    module.get_distributed_runtime_client = made
    try:
        yield
    finally:
        module.get_distributed_runtime_client = original


def _end_alone(*_: object) -> None:
    preemption.end_process(Preempted.EXIT_STATUS, f'{preemption.name()}: {lost()}')


@functools.cache
def _catch_bad_cast() -> None:
    """Has `std::terminate` call `_end_alone`, if it is that exception, else do what it did."""
    try:
        library = ctypes.CDLL('libstdc++.so.6')
        set_terminate = library._ZSt13set_terminatePFvvE
        current_type = library.__cxa_current_exception_type
    except (OSError, AttributeError):
        return  # another C++ library: the runtime aborts, with its own words
    function = ctypes.CFUNCTYPE(None)
    set_terminate.argtypes, set_terminate.restype = [ctypes.c_void_p], ctypes.c_void_p
    current_type.argtypes, current_type.restype = [], ctypes.c_void_p

    def terminate() -> None:
        kind = current_type()
        # A std::type_info is a pointer to its virtual functions, and one to its name.
        place = kind and ctypes.c_void_p.from_address(kind + ctypes.sizeof(ctypes.c_void_p)).value
        if place and ctypes.string_at(place).lstrip(b'*') == b'St8bad_cast':
            _end_alone()
        function(before)()

    handler = function(terminate)
    _kept.append(handler)
    before = set_terminate(ctypes.cast(handler, ctypes.c_void_p))


_kept: list[object] = []
"""What C++ points to."""
