"""NumPy's .npy files that anybody wrote, and the archives of them that this project writes."""

from __future__ import annotations

import io
import math
import threading
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from emola_jax.errors import UserError
from emola_jax.files.whole import read_bytes

_LONGEST_HEADER = 10_000
"""Characters of a header; NumPy's own limit, against headers that take its parser minutes."""


_HEADERS = threading.Lock()
"""Python 3.11 parses literals in one thread at a time: where the garbage collector lets another one
in (JAX has a callback there), it raises SystemError for a header that is right."""


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy file, of any shape and type but Python objects.

    What the header claims is compared with the bytes that are there before anything is allocated.

    Raises:
      UserError: the file is not there, cannot be read, holds no array, or not as much as it claims.
    """
    content = read_bytes(path)
    if content.startswith(b'PK'):
        raise UserError(f'{path}: an archive of arrays (.npz); expected a .npy file')
    return _parse(io.BytesIO(content), len(content), str(path))


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of a .npz file that this project wrote.

    Raises:
      UserError: the file is not there, is damaged, or lacks an array.
    """
    content = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.getinfo(f'{name}.npy') for name in names}
            found = {}
            for name, member in members.items():
                if member.compress_type != zipfile.ZIP_STORED:
                    raise zipfile.BadZipFile('compressed, which none of ours is')
                with archive.open(member) as file:
                    array = file.read()  # to its end, where zipfile compares its checksum
                found[name] = _parse(io.BytesIO(array), len(array), f'{path}, array {name}')
            return found
    except (zipfile.BadZipFile, OSError, KeyError, EOFError, RuntimeError) as error:
        # zipfile's RuntimeErrors: a member that is encrypted, or packed by a method it lacks.
        reason = ' '.join(str(error).split())[:200]
        raise UserError(f'{path}: no readable .npz file ({reason})') from None


def _parse(file: IO[bytes], size: int, where: str) -> np.ndarray:
    """The array of a .npy file of `size` bytes."""
    try:
        version = npy.read_magic(file)
        read_header = {
            (1, 0): npy.read_array_header_1_0,
            (2, 0): npy.read_array_header_2_0,
        }[version]
        with _HEADERS:
            shape, is_fortran, dtype = read_header(file, max_header_size=_LONGEST_HEADER)
    except KeyError:
        raise UserError(f'{where}: a .npy file of version {version}; expected 1.0 or 2.0') from None
    except Exception as error:  # a damaged header raises what the parser of Python's literals does
        reason = ' '.join(str(error).split())[:200]
        raise UserError(f'{where}: no readable .npy file ({reason})') from None
    if dtype.hasobject:
        raise UserError(f'{where}: holds Python objects, which are never loaded; expected numbers')
    if any(length < 0 for length in shape):
        raise UserError(f'{where}: claims a shape of {list(shape)}; expected no negative length')
    claimed, present = math.prod(shape) * dtype.itemsize, size - file.tell()
    if claimed > present:
        raise UserError(
            f'{where}: claims {list(shape)} of {dtype} ({claimed} bytes), but holds {present} '
            'bytes; copy the file again'
        )
    try:
        flat = np.frombuffer(file.read(claimed), dtype) if claimed else np.empty(0, dtype)
        return flat.reshape(shape, order='F' if is_fortran else 'C').copy()
    except (ValueError, TypeError, MemoryError, OverflowError) as error:
        raise UserError(f'{where}: no readable .npy file ({error})') from None
