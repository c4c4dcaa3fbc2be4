"""NumPy's .npy files that anybody wrote."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from emola_jax.errors import UserError
from emola_jax.files import read_bytes


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy file, of any shape and type but Python objects.

    Raises:
      UserError: the file is not there, cannot be read, or holds no array.
    """
    content = read_bytes(path)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a damaged header raises what the parser of Python's literals does
        reason = ' '.join(str(error).split())[:200]
        raise UserError(f'{path}: no readable .npy file ({reason})') from None
    if not isinstance(array, np.ndarray):
        raise UserError(f'{path}: an archive of arrays (.npz); expected a .npy file')
    return array
