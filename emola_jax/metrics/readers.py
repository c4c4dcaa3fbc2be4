"""The versions of the strict reader of answers, by name.

A version is frozen once scores were published with it: it is its name and a hash over its code and
its tables, and both go into scores.json. A reader that reads anything differently is a new version.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.metrics import strict_1, strict_2

_HERE = Path(__file__).parent
_KEPT = 20_000
"""Answers whose reading is kept in memory: scores, details and reports read each several times."""


@dataclass(frozen=True)
class Reader:
    """One version of the strict reader.

    Attributes:
      name: of the version.
      aus: FACS numbers that a text affirms; None for a text that says nothing about action units.
      emotion: label 0..6 of the emotion that a text affirms, or None.
      sources: files and folders of this folder that hold its code and its tables.
    """

    name: str
    aus: Callable[[str], frozenset[int] | None]
    emotion: Callable[[str], int | None]
    sources: tuple[str, ...]

    @functools.cached_property
    def hash(self) -> str:
        """Twelve hex digits over code, tables and vocabulary of this version."""
        digest = hashlib.sha256(repr((AU_NAMES, EMOTIONS)).encode())
        for path in sorted(file for name in self.sources for file in _files(_HERE / name)):
            digest.update(path.relative_to(_HERE).as_posix().encode())
            digest.update(path.read_bytes().replace(b'\r\n', b'\n'))
        return digest.hexdigest()[:12]

    def stamp(self) -> dict[str, str]:
        """What scores say about the reader that they rest on."""
        return {'reader': self.name, 'hash': self.hash}


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.iterdir() if file.suffix in ('.py', '.toml')]


def _reader(name: str, module: Any, sources: tuple[str, ...]) -> Reader:
    return Reader(
        name,
        functools.lru_cache(_KEPT)(module.aus),
        functools.lru_cache(_KEPT)(module.emotion),
        sources,
    )


_READERS = {
    reader.name: reader
    for reader in (
        _reader('strict-1', strict_1, ('strict_1', 'words.py')),
        _reader('strict-2', strict_2, ('strict_2', 'strict_1/negation.py')),
    )
}
NAMES = tuple(_READERS)
FIRST, LATEST = NAMES[0], NAMES[-1]
"""`FIRST` read the scores that name no reader."""


def named(name: str) -> Reader:
    """The reader of this name.

    Raises:
      UserError: for a name that is none.
    """
    if name not in _READERS:
        raise UserError(f'reader {name!r}: expected one of {", ".join(NAMES)}')
    return _READERS[name]
