"""Checkpoints: the trainables, the optimiser, the place in the data and the whole config.

The frozen base is never saved again; a checkpoint records its fingerprint instead, and a run that
resumes on another base is refused.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from emola_jax.errors import UserError
from emola_jax.files import naming
from emola_jax.train_state import Params, TrainState


class Checkpoints:
    """The checkpoints of one run, newest last, in `workdir/checkpoints`."""

    def __init__(self, workdir: Path, *, keep: int, metadata: Mapping[str, Any]):
        """Opens the folder (created if missing).

        Args:
          workdir: the run's folder.
          keep: how many of the newest checkpoints stay on disk; beside them the best one stays, of
            those that have a score.
          metadata: JSON-able; {'config': …, 'base': {'fingerprint': …}}. Saved with each step.
        """
        self._metadata = dict(metadata)
        self._manager = ocp.CheckpointManager(
            (workdir / 'checkpoints').absolute(),
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
          plan: fingerprint of the plan of batches, of which the run has seen one a step.
          score: of the validation behind that step, if there was one; higher is better.

        Returns:
          Seconds that the caller was held up.
        """
        step, started = int(state.step), time.perf_counter()
        if step == self.latest_step():
            return 0.0
        with naming(Path(self._manager.directory)):  # of this one, or of that which it waits for
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
                f'{items.data.get("plan")}, but data and config now give plan {plan}; use the same '
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
                f'{folder / str(step)}: is damaged or of another model '
                f'({type(error).__name__}: {str(error)[:200]}); remove that folder to go on from '
                'the checkpoint before it'
            ) from error
        self._check_base(saved.metadata)
        return saved.state, saved

    def _check_base(self, saved: Mapping[str, Any]) -> None:
        then, now = saved['base']['fingerprint'], self._metadata['base']['fingerprint']
        if then != now:
            raise UserError(
                f'{self._manager.directory}: was trained on base weights {then}, but the config '
                f'now gives {now}; use the same base or another --workdir'
            )


_SCORE = 'score'


def _score_of(metrics: Mapping[str, float]) -> float:
    return metrics[_SCORE]


def abstract_state(state: TrainState) -> TrainState:
    """Shapes, dtypes and shardings of `state`: what restoring needs."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state
    )


def read_trainable(workdir: Path) -> tuple[Path, dict[str, Any], Params]:
    """Reads what a run has trained, whatever mesh it was trained on, and nothing of its optimiser.

    Args:
      workdir: the run's folder.

    Returns:
      (folder of the newest checkpoint, its metadata, trainables as a nested dict of host arrays).

    Raises:
      UserError: there is no checkpoint, or it can't be read.
    """
    folder = (workdir / 'checkpoints').absolute()
    steps = sorted(int(path.name) for path in folder.glob('*') if path.name.isdecimal())
    if not steps:
        raise UserError(f'{folder}: holds no complete checkpoint')
    newest = folder / str(steps[-1])
    try:
        reader = ocp.Checkpointer(ocp.JsonCheckpointHandler())
        metadata = reader.restore(newest / 'metadata')
        if not isinstance(metadata['config'], dict) or 'fingerprint' not in metadata['base']:
            raise ValueError('its metadata are not what a run writes')
        states = ocp.PyTreeCheckpointer()
        saved = states.metadata(newest / 'state').item_metadata.tree
        item = {'trainable': saved['trainable']}
        as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
        state = states.restore(
            newest / 'state',
            args=ocp.args.PyTreeRestore(item=item, restore_args=as_arrays, partial_restore=True),
        )
    except Exception as error:  # orbax and tensorstore raise many kinds for a damaged file
        raise UserError(
            f'{newest}: is damaged ({type(error).__name__}: {str(error)[:200]})'
        ) from error
    return newest, metadata, state['trainable']
