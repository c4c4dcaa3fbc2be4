"""Checkpoints: the trainables, the optimiser, the data iterator's place and the whole config.

The frozen base is never saved again; a checkpoint records its fingerprint instead, and a run that
resumes on another base is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp

from emola_jax.errors import UserError
from emola_jax.train_state import Params, TrainState


class Checkpoints:
    """The checkpoints of one run, newest last, in `workdir/checkpoints`."""

    def __init__(self, workdir: Path, *, keep: int, metadata: Mapping[str, Any]):
        """Opens the folder (created if missing).

        Args:
          workdir: the run's folder.
          keep: how many checkpoints stay on disk.
          metadata: JSON-able; {'config': …, 'base': {'fingerprint': …}}. Saved with each step.
        """
        self._metadata = dict(metadata)
        self._manager = ocp.CheckpointManager(
            (workdir / 'checkpoints').absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, enable_async_checkpointing=True, cleanup_tmp_directories=True
            ),
        )

    def latest_step(self) -> int | None:
        """The newest complete checkpoint's step, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, iterator: grain.DatasetIterator) -> None:
        """Starts to save `state` and the iterator's place; returns before the files are written."""
        step = int(state.step)
        if step == self.latest_step():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=grain.checkpoint.CheckpointSave(iterator),
                metadata=ocp.args.JsonSave(self._metadata),
            ),
        )

    def restore(self, abstract: TrainState, iterator: grain.DatasetIterator) -> TrainState:
        """Restores the newest checkpoint into the shardings of `abstract`, and `iterator` in place.

        Raises:
          UserError: there is none, it can't be read, or it was made on another base.
        """
        return self._read(
            state=ocp.args.StandardRestore(abstract),
            data=grain.checkpoint.CheckpointRestore(iterator),
        )

    def restore_trainable(self, abstract: TrainState) -> TrainState:
        """Restores the newest checkpoint's state alone, for evaluation.

        Raises:
          UserError: there is none, it can't be read, or it was made on another base.
        """
        return self._read(state=ocp.args.StandardRestore(abstract))

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()

    def _read(self, **items: Any) -> TrainState:
        folder, step = self._manager.directory, self.latest_step()
        if step is None:
            raise UserError(
                f'{folder}: holds no complete checkpoint; train first (--mode=train) or give the '
                '--workdir of a trained run'
            )
        try:
            saved = self._manager.restore(
                step, args=ocp.args.Composite(metadata=ocp.args.JsonRestore(), **items)
            )
        except Exception as error:  # orbax and tensorstore raise many kinds for a damaged file
            raise UserError(
                f'{folder / str(step)}: is damaged or of another model '
                f'({type(error).__name__}: {str(error)[:200]}); remove that folder to go on from '
                'the checkpoint before it'
            ) from error
        self._check_base(saved.metadata)
        return saved.state

    def _check_base(self, saved: Mapping[str, Any]) -> None:
        then, now = saved['base']['fingerprint'], self._metadata['base']['fingerprint']
        if then != now:
            raise UserError(
                f'{self._manager.directory}: was trained on base weights {then}, but the config '
                f'now gives {now}; use the same base or another --workdir'
            )


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
