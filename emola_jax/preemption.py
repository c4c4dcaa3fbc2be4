"""SIGTERM, as clouds and schedulers send it before they take a machine: save, then leave.

One host that is told so is enough: all of them stop behind the same step.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

import jax
from jax.experimental import multihost_utils


class Preemption:
    """Listens for SIGTERM as long as its `with` block lasts; a second one kills as usual.

    In a run of several hosts JAX's own service listens, which also agrees with the other hosts on
    the step.
    """

    def __init__(self) -> None:
        """Listens to nothing yet."""
        self._told = False
        self._before: signal.Handlers | object | None = None

    def __enter__(self) -> Preemption:
        """Starts to listen."""
        if jax.process_count() == 1:
            self._before = signal.signal(signal.SIGTERM, self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves SIGTERM as it was."""
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._before)  # type: ignore[arg-type]

    def reached(self, step: int) -> bool:
        """Whether the run is to stop behind this step; every host asks at every step."""
        if jax.process_count() == 1:
            return self._told
        return bool(multihost_utils.reached_preemption_sync_point(step))

    def _listen(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
