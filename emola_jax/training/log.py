"""The log of a training run: one JSON object per line, TensorBoard events, and a progress bar."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files.whole import naming, read_jsonl, write_text

METRICS_FILE = 'metrics.jsonl'


@dataclasses.dataclass(frozen=True)
class _Step:
    number: int
    metrics: Mapping[str, jax.Array]
    record_index: np.ndarray
    waited: float


class TrainLog:
    """Logs each step when its numbers are there, or else one step late.

    Waiting for the newest ones would stall the device.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        start: int,
        steps: int,
        every: int,
        rate: optax.Schedule,
        name_record: Callable[[int], str],
        writes: bool = True,
    ):
        """Opens the log of a run that has done `start` steps of `steps`.

        Rows of later steps, left by a run that was killed, are dropped.

        Args:
          workdir: metrics.jsonl and tensorboard/ go here.
          start: steps done.
          steps: steps in all.
          every: steps from one row to the next.
          rate: learning rate at a count of done steps.
          name_record: index of a record -> its id, for the message when the loss isn't finite.
          writes: False on hosts that only watch over their numbers.
        """
        from tensorboardX import SummaryWriter  # it imports PyTorch where that is installed

        self._every, self._rate, self._name_record = every, rate, name_record
        self._steps, self._writes = steps, writes
        self._pending: _Step | None = None
        self._held_up: list[float] = []
        if writes:
            path = workdir / METRICS_FILE
            kept = [row for row in read_jsonl(path, ('step',)) if row['step'] <= start]
            write_text(path, ''.join(json.dumps(row) + '\n' for row in kept))
            self._path, self._file = path, path.open('a', encoding='utf-8')
            self._board = SummaryWriter(str(workdir / 'tensorboard'), purge_step=start + 1)
            self._bar = tqdm(
                total=steps, initial=start, desc='train', unit='step', dynamic_ncols=True
            )
        self._restart_clock()

    def add(
        self,
        step: int,
        metrics: Mapping[str, jax.Array],
        record_index: np.ndarray,
        waited: float,
    ) -> None:
        """Takes the step that was just dispatched.

        Reports it if its numbers are there, and the one before it in any case.

        Args:
          step: its number, from 1.
          metrics: 'loss', 'grad_norm' and 'tokens', scalars on the device.
          record_index: indices of the records in its batch; -1 = empty.
          waited: seconds that the loop waited for the batch.

        Raises:
          UserError: a reported step has a loss or gradient norm that isn't finite.
        """
        self.flush()
        self._pending = _Step(step, metrics, record_index, waited)
        there: Any = metrics.values()  # jax.Array does not declare is_ready
        if all(value.is_ready() for value in there):
            self.flush()

    def saved(self, seconds: float) -> None:
        """Takes how long a checkpoint held up the loop (files are written in the background)."""
        self._held_up.append(seconds)

    def flush(self) -> None:
        """Reports the step that is still pending."""
        previous, self._pending = self._pending, None
        if previous is not None:
            self._report(previous)

    def close(self) -> None:
        """Reports what is pending and closes everything."""
        self.flush()
        if not self._writes:
            return
        self._bar.close()
        self._file.close()
        self._board.close()
        if self._held_up:
            print(
                f'{len(self._held_up)} checkpoints; one held up the training for '
                f'{1000 * max(self._held_up):.0f} ms at most'
            )

    def _report(self, step: _Step) -> None:
        values = {name: float(value) for name, value in jax.device_get(dict(step.metrics)).items()}
        self._check_finite(step, values)
        if not self._writes:
            return
        self._tokens += values['tokens']
        self._waited += step.waited
        self._bar.update()
        if step.number % self._every and step.number != self._steps:
            return
        seconds = time.perf_counter() - self._since
        row = {
            'loss': values['loss'],
            'lr': float(self._rate(step.number - 1)),
            'grad_norm': values['grad_norm'],
            'tokens_per_second': self._tokens / seconds,
            'data_wait': self._waited / seconds,
        }
        with naming(self._path):
            self._file.write(json.dumps({'step': step.number, **row}) + '\n')
            self._file.flush()
        for name, value in row.items():
            self._board.add_scalar(name, value, step.number)
        self._bar.set_postfix(
            {
                'loss': f'{row["loss"]:.3f}',
                'lr': f'{row["lr"]:.1e}',
                'grad': f'{row["grad_norm"]:.2f}',
                'tok/s': f'{row["tokens_per_second"]:.0f}',
                'wait': f'{row["data_wait"]:.0%}',
            }
        )
        self._restart_clock()

    def _check_finite(self, step: _Step, values: Mapping[str, float]) -> None:
        bad = [name for name in ('loss', 'grad_norm') if not math.isfinite(values[name])]
        if not bad:
            return
        records = [self._name_record(int(i)) for i in np.ravel(step.record_index) if i >= 0]
        raise UserError(
            f'step {step.number}: {" and ".join(bad)} not finite; the batch holds the records '
            f'{", ".join(records)}. The last checkpoint is from before it'
        )

    def _restart_clock(self) -> None:
        self._since, self._tokens, self._waited = time.perf_counter(), 0.0, 0.0
