"""Reads a folder of safetensors or PyTorch files through a table, one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors import SafetensorError, safe_open

from emola_jax.convert import rules as rules_
from emola_jax.convert.rules import Rule
from emola_jax.errors import UserError

WEIGHT_FILES = ('*.safetensors', 'pytorch_model*.bin')
"""Looked for in this order; the first kind that is there is read."""


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder, shards in order; empty if there are none."""
    kinds = (sorted(folder.glob(pattern)) for pattern in WEIGHT_FILES)
    return next((files for files in kinds if files), [])


def read(
    folder: Path,
    table: Sequence[Rule],
    ours: Mapping[rules_.Path, tuple[tuple[int, ...], Any]],
    ignored: Sequence[str],
) -> dict[str, Any]:
    """Fills every parameter in `ours` from the checkpoint in `folder`.

    Args:
      folder: holds the weight files.
      table: the rules.
      ours: path -> (shape, dtype) of every parameter that the checkpoint must give.
      ignored: patterns of tensors that are left out on purpose.

    Returns:
      Nested dict of arrays in the given dtypes.

    Raises:
      UserError: lists every tensor that is missing, left over or of another shape, or names the
        file that can't be read.
    """
    shapes = {path: shape for path, (shape, _) in ours.items()}
    places, without_rule = rules_.expand(table, shapes)
    filled = {path: np.empty(shape, dtype) for path, (shape, dtype) in ours.items()}
    faults = [f'{name}: no tensor of the checkpoint is meant for it' for name in without_rule]
    seen = set()
    for name, tensor in _tensors(weight_files(folder)):
        place = places.get(name)
        if place is None:
            if not rules_.matches_any(name, ignored):
                faults.append(f'{name}: the model has no place for it')
            continue
        seen.add(name)
        expected = rules_.their_shape(place, shapes)
        if tensor.shape != expected:
            faults.append(f'{name}: has shape {tensor.shape}, expected {expected}')
            continue
        target = filled[place.rule.ours]
        target[... if place.layer is None else place.layer] = place.rule.to_ours(tensor)
    faults += [f'{name}: missing' for name in places if name not in seen]
    if faults:
        raise UserError(f'{folder}: does not fit the model:\n  ' + '\n  '.join(sorted(faults)))
    return unflatten_dict(filled)


def _tensors(files: Sequence[Path]) -> Iterator[tuple[str, np.ndarray]]:
    for path in files:
        yield from (_safetensors if path.suffix == '.safetensors' else _pytorch)(path)


def _safetensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        with safe_open(path, framework='numpy') as file:
            for name in file.keys():  # noqa: SIM118 (the handle is no dict)
                yield name, file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise UserError(f'{path}: not a readable safetensors file ({error})') from None


def _pytorch(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path}: PyTorch's own format needs torch to read; pip install 'emola_jax[convert]'"
        ) from None
    try:
        # weights_only: no pickle that runs code.
        state = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f'{path}: not a readable PyTorch checkpoint ({error})') from None
    for name, tensor in state.items():
        if tensor.dtype == torch.bfloat16:
            yield name, tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        else:
            yield name, tensor.numpy()
