"""Writes tensors into files as they are read: one at a time, never a whole file in memory."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np

from emola_jax import extras
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json, write_json
from emola_jax.formats.foreign_code import without_code
from emola_jax.formats.purposes import DEFAULT_SHARD_SIZE
from emola_jax.formats.source import Source
from emola_jax.models import tokenizer_files
from emola_jax.weights.lazy import Lazy
from emola_jax.weights.read_files import SAFETENSORS_NAMES

Progress = Callable[[int], object]
"""Called with the bytes of each tensor that is written."""

DTYPES = {
    'float32': np.dtype(np.float32),
    'bfloat16': np.dtype(ml_dtypes.bfloat16),
    'float16': np.dtype(np.float16),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may choose.

    Attributes:
      dtype: one of `DTYPES`, of every tensor; None leaves each as it is stored.
      max_shard_size: bytes of tensors in one file.
      base: path or hub id that an adapter names as its base; None leaves the one it has.
      progress: called with the bytes of each tensor that is written.
    """

    dtype: str | None = None
    max_shard_size: int = DEFAULT_SHARD_SIZE
    base: str | None = None
    progress: Progress = lambda size: None

    def cast(self, tensors: Mapping[str, Lazy]) -> dict[str, Lazy]:
        """The tensors in the chosen type."""
        if self.dtype is None:
            return dict(tensors)
        return {name: tensor.astype(DTYPES[self.dtype]) for name, tensor in tensors.items()}


def write_safetensors(
    folder: Path,
    tensors: Mapping[str, Lazy],
    *,
    max_shard_size: int = DEFAULT_SHARD_SIZE,
    stem: str = 'model',
    progress: Progress = lambda size: None,
) -> list[Path]:
    """Streams tensors into one safetensors file, or into shards with an index.

    Args:
      folder: an open folder that isn't under its final name yet.
      tensors: by name; each is read when its turn comes, and forgotten.
      max_shard_size: bytes of tensors in a file; one that is larger has a file of its own.
      stem: `stem`.safetensors, or `stem`-00001-of-00002.safetensors and so on.
      progress: called with the bytes of each tensor.

    Returns:
      The files with tensors.
    """
    shards = _shards(tensors, max_shard_size)
    if len(shards) == 1:
        names = [f'{stem}.safetensors']
    else:
        numbers = range(1, len(shards) + 1)
        names = [f'{stem}-{n:05d}-of-{len(shards):05d}.safetensors' for n in numbers]
    for name, shard in zip(names, shards, strict=True):
        _write_file(folder / name, shard, progress)
    if len(shards) > 1:
        index = {
            'metadata': {'total_size': sum(tensor.nbytes for tensor in tensors.values())},
            'weight_map': {
                tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard
            },
        }
        text = json.dumps(index, indent=2) + '\n'
        (folder / f'{stem}.safetensors.index.json').write_text(text, encoding='utf-8')
    return [folder / name for name in names]


def _shards(tensors: Mapping[str, Lazy], limit: int) -> list[dict[str, Lazy]]:
    """In the given order, each as full as it may be."""
    shards: list[dict[str, Lazy]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def _write_file(path: Path, tensors: Mapping[str, Lazy], progress: Progress) -> None:
    # Wide types first, so that every tensor begins at a multiple of its item size.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize)
    # transformers refuses a file that doesn't name its framework.
    header: JsonObject = {'__metadata__': {'format': 'pt'}}
    end = 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        header[name] = {
            'dtype': SAFETENSORS_NAMES[tensor.dtype],
            'shape': list(tensor.shape),
            'data_offsets': [start, end],
        }
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with path.open('wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for name, tensor in ordered:
            file.write(_bytes(name, tensor))
            progress(tensor.nbytes)
        file.flush()
        os.fsync(file.fileno())


def _bytes(name: str, tensor: Lazy) -> memoryview:
    value = np.ascontiguousarray(tensor.whole())
    if value.nbytes != tensor.nbytes or value.dtype != tensor.dtype:
        raise AssertionError(f'{name}: read {value.dtype}{value.shape}, expected {tensor}')
    return value.reshape(-1).view(np.uint8).data


def write_pytorch(path: Path, tensors: Mapping[str, Lazy], progress: Progress) -> None:
    """Writes a file of PyTorch's own format, which holds all of its tensors in memory at once.

    Raises:
      UserError: torch is not installed.
    """
    extras.check_torch(f"{path.name}: PyTorch's own format")
    import torch

    state = {}
    for name, tensor in tensors.items():
        value = np.array(tensor.whole(), order='C')  # a copy: torch wants to own what it holds
        if SAFETENSORS_NAMES[tensor.dtype] == 'BF16':
            state[name] = torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
        else:
            state[name] = torch.from_numpy(value)
        progress(tensor.nbytes)
    with path.open('wb') as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def copy_tokenizer(source: Source, folder: Path) -> None:
    """Copies the tokenizer's files, if the source has such, without what they say of code."""
    if source.tokenizer is None:
        return
    for name in tokenizer_files.FILES:
        there = source.tokenizer / name
        if not there.is_file():
            continue
        if name == tokenizer_files.CONFIG:
            write_json(folder / name, without_code(read_json(there)))
        else:
            shutil.copyfile(there, folder / name)
