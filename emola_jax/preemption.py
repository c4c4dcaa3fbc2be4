"""SIGTERM, as clouds and schedulers send it before they take a machine: save, then leave.

One host that is told so is enough: all of them stop behind the same step.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def listening() -> Iterator[Callable[[int], bool]]:
    """Listens for SIGTERM; gives what every host asks at every step: is the run to stop behind it?

    A second SIGTERM kills as usual. In a run of several hosts JAX's own service listens, which also
    agrees with the other hosts on the step.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    told: list[int] = []

    def listen(number: int, _: object) -> None:
        told.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, listen)
    try:
        yield lambda step: bool(told)
    finally:
        signal.signal(signal.SIGTERM, before)
