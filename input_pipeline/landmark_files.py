"""Which landmark file belongs to a picture: x.npy to x.jpg, unless x.png is there as well.

Where two pictures of a folder would share a file, each has its own under its full name, x.jpg.npy
and x.png.npy; a file x.npy could be of either and is never used.
"""

from __future__ import annotations

import collections
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from emola_jax.files import media
from emola_jax.files.names import file_stem, folded

SUFFIX = '.npy'
_LONGEST_NAME = 255  # bytes


def file_name(picture: Path) -> str:
    """What the landmark file of a picture is called, in whatever folder."""
    siblings = _siblings(picture)
    return _short(picture) if siblings.is_alone(picture) else siblings.full(picture)


def find(picture: Path, folders: Sequence[Path]) -> str:
    """The landmark file of a picture in the first of `folders` that has one.

    Returns:
      Its path, or '' where there is none. Where there is only a file that could be another
      picture's too, the path at which the picture's own file is missing.
    """
    siblings = _siblings(picture)
    is_alone, full = siblings.is_alone(picture), siblings.full(picture)
    names = [full] if not (is_alone and siblings.has_longer(picture)) else []
    names += [_short(picture)] if is_alone else []
    for path in (folder / name for name in names for folder in folders):
        if path.is_file():
            return str(path)
    if is_alone or not any((folder / _short(picture)).is_file() for folder in folders):
        return ''
    return str(folders[0] / full)


def _short(picture: Path) -> str:
    return picture.with_suffix(SUFFIX).name


class _Siblings(NamedTuple):
    """How many pictures of a folder have a name and a stem, as `folded` compares them."""

    names: collections.Counter[str]
    stems: collections.Counter[str]

    def is_alone(self, picture: Path) -> bool:
        """Whether no other picture would have the short name of its landmark file, or has it."""
        stem = folded(picture.stem)
        return self.stems[stem] <= 1 and not self.names[stem]

    def has_longer(self, picture: Path) -> bool:
        """Whether there is x.jpg.png to x.jpg: x.jpg.npy may be an old file of that one."""
        return self.stems[folded(picture.name)] > 0

    def full(self, picture: Path) -> str:
        """The name that no other picture has, also where x.jpg.npy and x.JPG.npy are one file."""
        name, key = picture.name, folded(picture.name)
        fits = len(os.fsencode(name + SUFFIX)) <= _LONGEST_NAME
        if fits and self.names[key] <= 1:
            return name + SUFFIX
        return file_stem(name, name, {folded(name)}) + SUFFIX


def _siblings(picture: Path) -> _Siblings:
    try:
        return _listed(picture.parent, picture.parent.stat().st_mtime_ns)
    except OSError:
        return _Siblings(collections.Counter(), collections.Counter())


@functools.lru_cache(maxsize=64)
def _listed(folder: Path, changed: int) -> _Siblings:
    """Of a folder as it was at a time."""
    del changed
    names = [Path(name) for name in os.listdir(folder)]  # noqa: PTH208 (names alone)
    pictures = [name for name in names if media.kind(name) is media.Kind.PICTURE]
    return _Siblings(
        collections.Counter(folded(name.name) for name in pictures),
        collections.Counter(folded(name.stem) for name in pictures),
    )
