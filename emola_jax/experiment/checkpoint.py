"""Checkpoints: the trainables, the optimiser, the place in the data and the whole config.

The frozen base is never saved again; a checkpoint records its fingerprint instead, and a run that
resumes on another base is refused.

Each checkpoint holds the sha256 of its files (`checksums`), written by the primary host before the
folder takes its name. Whoever reads a checkpoint checks them first: tensorstore does not notice
every changed bit (benchmarks/flips.py).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from emola_jax.errors import UserError
from emola_jax.experiment import run_checksums
from emola_jax.experiment.state import TrainState
from emola_jax.files import checksums
from emola_jax.files.checksums import Damaged
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import naming
from emola_jax.models.emola import Params


class Checkpoints:
    """The checkpoints of one run, newest last, in `workdir/checkpoints`."""

    def __init__(self, workdir: Path, *, keep: int, metadata: JsonObject):
        """Opens the folder (created if missing).

        Args:
          workdir: the run's folder.
          keep: how many of the newest checkpoints stay on disk, plus the best one of
            those that have a score.
          metadata: JSON-able; {'config': …, 'base': {'fingerprint': …}}. Saved with each step.

        Raises:
          UserError: the metadata of a checkpoint are damaged.
        """
        self._metadata = {**metadata, run_checksums.CHECKED_BY: checksums.SUMS_FILE}
        folder = (workdir / 'checkpoints').absolute()
        for step in saved_steps(folder):
            _check_metadata(folder / str(step))
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=preservation_policy.AnyPreservationPolicy(
                    [
                        preservation_policy.LatestN(keep),
                        preservation_policy.BestN(
                            get_metric_fn=_score_of, n=1, keep_checkpoints_without_metrics=False
                        ),
                    ]
                ),
                best_fn=_score_of,
                enable_async_checkpointing=True,
                cleanup_tmp_directories=True,
                temporary_path_class=_SummedUp,
            ),
        )

    def latest_step(self) -> int | None:
        """The newest complete checkpoint's step, or None."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The step of the checkpoint with the highest score, or None where none has any."""
        scored = [info for info in self._manager.all_steps() if self._manager.metrics(info)]
        return self._manager.best_step() if scored else None

    def save(self, state: TrainState, plan: str, score: float | None = None) -> float:
        """Starts to save `state`; returns before the files are written. Every host has to call it.

        Args:
          state: after a step.
          plan: fingerprint of the batch plan, of which the run has seen one batch per step.
          score: of the validation after that step, if there was one; higher is better.

        Returns:
          Seconds that the caller was held up.
        """
        step, started = int(state.step), time.perf_counter()
        if step == self.latest_step():
            return 0.0
        with naming(Path(self._manager.directory)):  # of this save, or of the one it waits for
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    data=ocp.args.JsonSave({'plan': plan, 'batches': step}),
                    metadata=ocp.args.JsonSave(self._metadata),
                ),
                metrics=None if score is None else {_SCORE: score},
            )
        return time.perf_counter() - started

    def restore(self, abstract: TrainState, plan: str) -> TrainState:
        """Restores the newest checkpoint into the shardings of `abstract`, on whatever mesh.

        Args:
          abstract: of `abstract_state`.
          plan: fingerprint of the plan that the run would go on with.

        Raises:
          UserError: there is none, it can't be read, or it was made on another base or plan.
        """
        state, items = self._read(abstract, data=ocp.args.JsonRestore())
        if items.data != {'plan': plan, 'batches': int(state.step)}:
            raise UserError(
                f'{self._manager.directory}: was trained on batches of plan '
                f'{_plan_of(items.data)}, but data and config now give plan {plan}; use the same '
                'data or another --workdir'
            )
        return state

    def restore_trainable(self, abstract: TrainState, *, best: bool = False) -> TrainState:
        """Restores the state alone of the newest checkpoint, or of the best, for evaluation.

        Raises:
          UserError: there is none, it can't be read, or it was made on another base.
        """
        if not best:
            return self._read(abstract)[0]
        step = self.best_step()
        if step is None:
            raise UserError(
                f'{self._manager.directory}: no checkpoint has a score (train.validate.every), so '
                "eval.checkpoint cannot be 'best'"
            )
        return self._read(abstract, step)[0]

    def close(self) -> None:
        """Waits until everything is on disk."""
        with naming(Path(self._manager.directory)):
            self._manager.wait_until_finished()
            self._manager.close()

    def _read(
        self, abstract: TrainState, step: int | None = None, **items: Any
    ) -> tuple[TrainState, Any]:
        folder, step = self._manager.directory, step or self.latest_step()
        if step is None:
            raise UserError(
                f'{folder}: holds no complete checkpoint; train first (--mode=train) or give the '
                '--workdir of a trained run'
            )
        of_step = Path(folder / str(step))
        is_checked = _check(of_step)
        try:
            saved = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(abstract),
                    metadata=ocp.args.JsonRestore(),
                    **items,
                ),
            )
        except Exception as error:  # orbax and tensorstore raise many kinds for a damaged file
            raise UserError(
                f'{of_step}: is damaged or of another model '
                f'({type(error).__name__}: {str(error)[:200]}); {_way_out(of_step)}'
            ) from error
        _check_kept(of_step, saved.metadata, is_checked)
        self._check_base(saved.metadata, of_step)
        return saved.state, saved

    def _check_base(self, saved: JsonObject, of_step: Path) -> None:
        try:
            then = saved['base']['fingerprint']
        except (KeyError, TypeError):  # of an older version, which had no checksums
            raise UserError(
                f'{of_step / "metadata"}: is not what a run writes; {_way_out(of_step)}'
            ) from None
        now = self._metadata['base']['fingerprint']
        if then != now:
            raise UserError(
                f'{self._manager.directory}: was trained on base weights {then}, but the config '
                f'now gives {now}; use the same base or another --workdir'
            )


class _SummedUp(ocp.path.atomicity.AtomicRenameTemporaryPath):
    """A step's temporary folder, renamed once the checksums of its files are written.

    Orbax calls `finalize` on the primary host alone, when all hosts have written everything. The
    items within a step pass through here as well and are summed up with the step.
    """

    async def finalize(self) -> None:
        """Writes SHA256SUMS, then renames the folder."""
        if self.get_final().name.isdecimal():
            # The parent would write the time of the commit after the checksums.
            store: Any = self._checkpoint_metadata_store  # type: ignore[has-type]
            self._checkpoint_metadata_store = None
            if store is not None:
                await asyncio.to_thread(_note_commit, store, self.get() / '_CHECKPOINT_METADATA')
            folder = Path(self.get())
            await asyncio.to_thread(checksums.write, folder)
        await super().finalize()


def _note_commit(store: Any, path: Any) -> None:
    store.wait_until_finished()
    store.update(file_path=path, commit_timestamp_nsecs=time.time_ns())
    store.wait_until_finished()


def saved_steps(folder: Path) -> list[int]:
    """The steps of the complete checkpoints in a run's folder `checkpoints`, in order."""
    return sorted(int(path.name) for path in folder.glob('*') if path.name.isdecimal())


def _check(step_folder: Path, is_wanted: Callable[[str], bool] = lambda name: True) -> bool:
    """Checks a checkpoint's files; False where it has no checksums.

    Raises:
      UserError: names the first damaged file, and the newest earlier checkpoint that is intact.
    """
    try:
        return checksums.check(step_folder, is_wanted)
    except Damaged as error:
        raise UserError(f'{error}; {_way_out(step_folder)}') from None


def _check_metadata(step_folder: Path) -> None:
    """Checks what the manager reads of every checkpoint: the score, above all.

    Missing files are none of its business: a kill may have come as an old checkpoint was removed.

    Raises:
      UserError: as `_check`.
    """
    _check(
        step_folder,
        lambda name: not name.startswith('state/') and (step_folder / name).exists(),
    )


def _check_kept(step_folder: Path, metadata: object, is_checked: bool) -> None:
    """Says that a checkpoint of an older version is not checked; another one has to be.

    Raises:
      UserError: its checksums are gone.
    """
    if is_checked:
        return
    if isinstance(metadata, dict) and run_checksums.CHECKED_BY in metadata:
        raise UserError(
            f'{step_folder}: is damaged: {checksums.SUMS_FILE} is missing; {_way_out(step_folder)}'
        )
    if jax.process_index() == 0:
        print(
            f'{step_folder}: not checked, since an older version saved it without checksums',
            file=sys.stderr,
        )


def _way_out(step_folder: Path) -> str:
    """What to do about a damaged checkpoint."""
    for step in reversed(saved_steps(step_folder.parent)):
        earlier = step_folder.parent / str(step)
        if step < int(step_folder.name) and (state := _state_of(earlier)):
            return f'restore it from a copy, or remove that folder to go on from {earlier}, {state}'
    return 'restore it from a copy; no earlier checkpoint of the run is intact, so else train again'


def _state_of(step_folder: Path) -> str:
    """'' if the checkpoint is damaged."""
    try:
        if checksums.check(step_folder):
            return 'which is intact'
    except Damaged:
        return ''
    return '' if run_checksums.has_lost_its_own(step_folder) else 'which has no checksums'


def _plan_of(data: object) -> object:
    return data.get('plan') if isinstance(data, dict) else data


_SCORE = 'score'


def _score_of(metrics: Mapping[str, float]) -> float:
    return metrics[_SCORE]


def abstract_state(state: TrainState) -> TrainState:
    """Shapes, dtypes and shardings of `state`: what restoring needs."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state
    )


def read_trainable(workdir: Path) -> tuple[Path, JsonObject, Params]:
    """Reads what a run has trained, whatever mesh it was trained on, and nothing of its optimiser.

    Args:
      workdir: the run's folder.

    Returns:
      (folder of the newest checkpoint, its metadata, trainables as a nested dict of host arrays).

    Raises:
      UserError: there is no checkpoint, or it can't be read.
    """
    folder = (workdir / 'checkpoints').absolute()
    steps = saved_steps(folder)
    if not steps:
        raise UserError(f'{folder}: holds no complete checkpoint')
    newest = folder / str(steps[-1])
    is_checked = _check(newest)
    try:
        reader = ocp.Checkpointer(ocp.JsonCheckpointHandler())
        metadata = reader.restore(newest / 'metadata')
        if not isinstance(metadata['config'], dict) or 'fingerprint' not in metadata['base']:
            raise ValueError('its metadata are not what a run writes')
        # A `Checkpointer` would look for the metadata of a whole step in the folder of its state.
        states = ocp.PyTreeCheckpointHandler()
        saved = states.metadata(newest / 'state').tree
        item = {'trainable': saved['trainable']}
        as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
        state = states.restore(
            newest / 'state',
            args=ocp.args.PyTreeRestore(item=item, restore_args=as_arrays, partial_restore=True),
        )
    except Exception as error:  # orbax and tensorstore raise many kinds for a damaged file
        raise UserError(
            f'{newest}: is damaged ({type(error).__name__}: {str(error)[:200]}); {_way_out(newest)}'
        ) from error
    _check_kept(newest, metadata, is_checked)
    return newest, metadata, state['trainable']
