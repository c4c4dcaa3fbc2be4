"""The versions of the strict reader of answers, by name.

A version is frozen once scores were published with it: it is its name and a hash over its code and
its tables, and both go into scores.json. A reader that reads anything differently is a new version.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.metrics import strict_1, strict_2

T = TypeVar('T')

_HERE = Path(__file__).parent
LONGEST = 16_384
"""Characters of an answer that are read; 2,048 tokens are about half of it."""
LONGEST_STATEMENT = 2048
"""Characters that `strict-1` takes for one statement: its time grows with their square."""
_LONGEST_NUMBER = 99
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
      longest_statement: characters at which a statement ends, if there is a limit.
    """

    name: str
    aus: Callable[[str], frozenset[int] | None]
    emotion: Callable[[str], int | None]
    sources: tuple[str, ...]
    longest_statement: int | None = None

    def is_beyond(self, text: str) -> bool:
        """Whether `text` is beyond a limit, so that it is read in part."""
        return self.within(text) != text

    def within(self, text: str) -> str:
        """The part of a text that is read, over-long statements ended."""
        return _within(text, self.longest_statement)

    @functools.cached_property
    def hash(self) -> str:
        """Twelve hex digits over code, tables and vocabulary of this version."""
        digest = hashlib.sha256(repr((AU_NAMES, EMOTIONS)).encode())
        for path in sorted(file for name in self.sources for file in _files(_HERE / name)):
            digest.update(path.relative_to(_HERE).as_posix().encode())
            digest.update(path.read_bytes().replace(b'\r\n', b'\n'))
        return digest.hexdigest()[:12]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.iterdir() if file.suffix in ('.py', '.toml')]


_ENDS = re.compile(r'[.!?]\s')
_LONG_NUMBER = re.compile(rf'\d{{{_LONGEST_NUMBER + 1},}}')


def _within(text: str, longest_statement: int | None) -> str:
    text = text[:LONGEST]
    if len(text) > _LONGEST_NUMBER:
        # Python refuses to convert numbers of thousands of digits; they are no action unit.
        text = _LONG_NUMBER.sub('9' * _LONGEST_NUMBER, text)
    if longest_statement is None or len(text) <= longest_statement:
        return text
    return _with_ends(text, longest_statement)


def _with_ends(text: str, longest: int) -> str:
    """Ends a statement of more than so many characters at the last comma or blank before."""
    found, start = [], 0
    ends = [end.end() for end in _ENDS.finditer(text)] + [len(text)]
    for end in ends:
        while end - start > longest:
            piece = text[start : start + longest]
            cut = max(piece.rfind(', ') + 1, piece.rfind('\n')) or piece.rfind(' ')
            piece = piece[: cut if cut > 0 else longest]
            found.append(f'{piece}. ')
            start += len(piece)
        found.append(text[start:end])
        start = end
    return ''.join(found)


class _Version(Protocol):
    """The package of a version."""

    @property
    def aus(self) -> Callable[[str], frozenset[int] | None]: ...

    @property
    def emotion(self) -> Callable[[str], int | None]: ...


def _reader(
    name: str, module: _Version, sources: tuple[str, ...], longest_statement: int | None = None
) -> Reader:
    def limited(read: Callable[[str], T]) -> Callable[[str], T]:
        kept = functools.lru_cache(_KEPT)(read)
        return lambda text: kept(_within(text, longest_statement))

    return Reader(name, limited(module.aus), limited(module.emotion), sources, longest_statement)


_READERS = {
    reader.name: reader
    for reader in (
        _reader('strict-1', strict_1, ('strict_1', 'words.py'), LONGEST_STATEMENT),
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
