"""GGUF, the file of llama.cpp: opened, and its fields read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader

from emola_jax.errors import UserError


class _Reader(GGUFReader):
    """Slices the file as a plain array: a memmap's slices cost several times as much.

    There are some hundred thousand, one or two for each token of a vocabulary.
    """

    @property
    def data(self) -> Any:
        """The file's bytes, mapped."""
        return self._data

    @data.setter
    def data(self, mapped: np.ndarray) -> None:
        self._data = mapped.view(np.ndarray)


def open_gguf(path: Path) -> GGUFReader:
    """Opens a GGUF file.

    Raises:
        UserError: there is no such file, or it isn't a GGUF file.
    """
    if not Path(path).is_file():
        raise UserError(f'{path}: no such file; expected a GGUF model.')
    try:
        return _Reader(path)
    except Exception as error:  # of a damaged file the package raises many kinds
        raise UserError(f'{path}: not a readable GGUF file ({error!s:.200}).') from error


def read_field(reader: GGUFReader, path: Path, name: str, default: object = None) -> Any:
    """A metadata value of a GGUF file; without a default, UserError if it is missing."""
    field = reader.fields.get(name)
    if field is not None:
        try:
            return field.contents()
        except Exception as error:  # text that is no UTF-8, a type that is none
            raise UserError(
                f"{path}: metadata field '{name}' cannot be read ({error!s:.200})."
            ) from error
    if default is None:
        raise UserError(f"{path}: metadata field '{name}' is missing.")
    return default
