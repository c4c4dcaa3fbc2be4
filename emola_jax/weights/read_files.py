"""Opens weight files: every tensor of a folder as a `Lazy`, whatever the file format."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import mmap
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from emola_jax import extras
from emola_jax.errors import UserError
from emola_jax.files.whole import LFS_FAULT, LFS_POINTER, read_json
from emola_jax.weights.lazy import Index, Lazy

if TYPE_CHECKING:
    import torch

KINDS = (
    ('model*.safetensors', 'model.safetensors.index.json'),
    ('pytorch_model*.bin', 'pytorch_model.bin.index.json'),
)
"""Weight files and the index of their shards; the first kind that is there is read."""

# The names that a safetensors header gives to types.
_DTYPES: dict[str, np.dtype] = {
    'F64': np.dtype(np.float64),
    'F32': np.dtype(np.float32),
    'F16': np.dtype(np.float16),
    'BF16': np.dtype(ml_dtypes.bfloat16),
    'I64': np.dtype(np.int64),
    'I32': np.dtype(np.int32),
    'I16': np.dtype(np.int16),
    'I8': np.dtype(np.int8),
    'U8': np.dtype(np.uint8),
    'BOOL': np.dtype(np.bool_),
}
SAFETENSORS_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
"""The inverse, for writing."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """What was found.

    Attributes:
      tensors: by name; nothing is read yet.
      faults: one line for each file that is missing or can't be read, and each tensor that an index
        promises in vain. Then a tensor that isn't there is no fault of its own.
    """

    tensors: Mapping[str, Lazy]
    faults: tuple[str, ...] = ()


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder, shards in order; empty if there are none.

    Where there is an index, these are the files that it lists, whether they are there or not.
    """
    if promised := _promised(folder):
        return [folder / name for name in sorted(set(promised.values()))]
    kinds = (sorted(folder.glob(pattern)) for pattern, _ in KINDS)
    return next((files for files in kinds if files), [])


def head(path: Path) -> str:
    """What tells a file of weights from others without reading it: its size, and its start."""
    with path.open('rb') as file:
        start = hashlib.sha256(file.read(1 << 20)).hexdigest()
    return f'{path.stat().st_size}-{start}'


def open_folder(folder: Path) -> Weights:
    """Opens the weight files of a folder; that there are none is a fault as well."""
    try:
        files = weight_files(folder)
        promised = _promised(folder)
    except UserError as error:
        return Weights({}, (str(error),))
    if not files:
        patterns = ' or '.join(pattern for pattern, _ in KINDS)
        return Weights({}, (f'{folder}: no weight files; expected {patterns}',))
    weights = open_files(files)
    if weights.faults:
        return weights
    return Weights(
        weights.tensors,
        tuple(
            f'{folder / file}: {name} is missing, which the index says is here'
            for name, file in promised.items()
            if name not in weights.tensors or weights.tensors[name].origin != str(folder / file)
        ),
    )


def open_files(paths: Iterable[Path]) -> Weights:
    """Opens files, each of them safetensors or PyTorch's own, by its suffix."""
    tensors: dict[str, Lazy] = {}
    faults = []
    for path in paths:
        opened = _safetensors if path.suffix == '.safetensors' else _pytorch
        try:
            refuse_pointer(path)
            found = opened(path)
        except UserError as error:
            faults.append(str(error))
            continue
        twice = found.keys() & tensors.keys()
        faults += [f'{n}: in {tensors[n].origin} and in {path}' for n in sorted(twice)]
        tensors |= found
    return Weights(tensors, tuple(faults))


def refuse_pointer(path: Path) -> None:
    """Raises UserError if a file of weights is missing or a Git LFS pointer."""
    if not path.is_file():
        raise UserError(f'{path}: missing')
    with path.open('rb') as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(f'{path}: {LFS_FAULT}')


def _promised(folder: Path) -> dict[str, str]:
    """Tensor -> file, as the index says; empty without an index.

    An index beside complete files of an earlier kind is not asked.
    """
    for pattern, index in KINDS:
        if (folder / index).is_file():
            return _weight_map(folder / index)
        if any(folder.glob(pattern)):
            break
    return {}


def _weight_map(path: Path) -> dict[str, str]:
    names = read_json(path).get('weight_map')
    if not isinstance(names, dict) or not names:
        raise UserError(f"{path}: expected the field 'weight_map', tensor names and their files")
    for name in names.values():
        if not isinstance(name, str) or Path(name).name != name or name in ('', '..'):
            raise UserError(
                f"{path}: 'weight_map' names the file {name!r}, expected one next to the index"
            )
    return names


def _safetensors(path: Path) -> dict[str, Lazy]:
    """Maps the file into memory, so that a piece costs the pages that it lies on and no copy."""
    try:
        with safe_open(path, framework='numpy'):
            pass  # the header is sound, and the file as long as it says
    except (SafetensorError, OSError) as error:
        raise UserError(f'{path}: not a readable safetensors file ({error})') from None
    with path.open('rb') as file:
        size = int.from_bytes(file.read(8), 'little')
        header = json.loads(file.read(size))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tensors = {}
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        if entry['dtype'] not in _DTYPES:
            raise UserError(
                f'{path}: {name} is of type {entry["dtype"]}; give the unquantised weights '
                f'({", ".join(_DTYPES)} are read)'
            )
        dtype, shape = _DTYPES[entry['dtype']], tuple(entry['shape'])
        offset = 8 + size + entry['data_offsets'][0]
        whole = np.frombuffer(mapped, dtype, math.prod(shape), offset).reshape(shape)
        tensors[name] = Lazy(shape, dtype, functools.partial(_piece, whole), str(path))
    return tensors


def _piece(whole: np.ndarray, index: Index) -> np.ndarray:
    return np.asarray(whole[index])


def _pytorch(path: Path) -> dict[str, Lazy]:
    extras.check_torch(f"{path}: PyTorch's own format")
    import torch

    try:
        # weights_only: no pickle that runs code. Files of before PyTorch 1.6 can't be mapped.
        mapped = zipfile.is_zipfile(path)
        state = torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = re.split(r'\. |\n', str(error))[0]
        if 'Weights only' in reason:
            reason = 'it holds code besides tensors, which is never run'
        raise UserError(f'{path}: not a readable PyTorch checkpoint ({reason})') from None
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise UserError(f'{path}: expected a dict of tensors')
    return {str(name): _lazy(str(name), tensor, str(path)) for name, tensor in state.items()}


def _lazy(name: str, tensor: torch.Tensor, origin: str) -> Lazy:
    """A `Lazy` of a torch tensor; NumPy knows bfloat16 only by the bits."""
    import torch

    if tensor.is_quantized or tensor.layout != torch.strided or 'float8' in str(tensor.dtype):
        raise UserError(
            f'{origin}: {name} is of type {tensor.dtype}; give the unquantised, dense weights'
        )
    bits = tensor.detach()
    if bits.dtype == torch.bfloat16:
        bits, dtype = bits.view(torch.int16), np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = bits[:0].numpy().dtype if bits.ndim else bits.numpy().dtype
    return Lazy(tuple(bits.shape), dtype, lambda index: bits[index].numpy().view(dtype), origin)
