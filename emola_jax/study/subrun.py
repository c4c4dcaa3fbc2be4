"""Runs that are parts of a larger command: rows of an ablation, folds of a cross-validation."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from emola_jax.errors import Preempted, UserError
from emola_jax.evaluation.evaluate import SCORES_FILE
from emola_jax.files import checksums
from emola_jax.metrics.scores import RunScores
from emola_jax.parallel import preemption


def run(config: str, workdir: Path, flags: Sequence[str] = ()) -> None:
    """Trains, evaluates and reports `config` in `workdir`; a finished run is only shown.

    It is a process of its own, so that one model leaves nothing behind in the next.

    Args:
      config: a config file with its argument, as `--config` takes it.
      workdir: the run's folder.
      flags: more flags of `emola_jax.main`.

    Raises:
      UserError: it failed (its own message stands above).
      Preempted: it was told to leave, or this process was, which tells it.
      KeyboardInterrupt: Ctrl-C ended it.
    """
    command = [sys.executable, '-m', 'emola_jax.main', f'--config={config}', f'--workdir={workdir}']
    with subprocess.Popen([*command, *flags]) as process, preemption.put_off(process.terminate):
        try:
            status = process.wait()
        except KeyboardInterrupt:  # a terminal tells both, `kill` only this one
            process.send_signal(signal.SIGINT)
            raise
    if status == Preempted.EXIT_STATUS:
        raise Preempted(
            f'{workdir}: its run was told to leave; the same command goes on from there'
        )
    if status == preemption.INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise UserError(f'{workdir}: the run of {config} failed; see above, then call this again')


def scores_of(workdir: Path) -> RunScores:
    """The scores of a finished run.

    Raises:
      UserError: its scores.json is missing or damaged.
    """
    checksums.check_file(workdir / SCORES_FILE)
    return RunScores.read(workdir / SCORES_FILE)
