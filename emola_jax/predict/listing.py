"""What a command line names: photos, videos, folders, globs, lists on stdin. No file is opened."""

from __future__ import annotations

import dataclasses
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from emola_jax.files import folders
from emola_jax.files.media import Kind
from emola_jax.files.names import path_text, readable

STDIN = '-'

_READ = frozenset({Kind.PICTURE, Kind.VIDEO})
_NO_FILE = 'no such file or folder'


@dataclasses.dataclass(frozen=True)
class Input:
    """A photo or video, and what tells it apart from any other.

    Attributes:
      path: as it was given or found.
      file: the resolved path, as `path_text` writes it.
      size: bytes.
      modified: microseconds since 1970.
    """

    path: Path
    file: str
    size: int
    modified: int

    @property
    def name(self) -> str:
        """The path in one line of valid text."""
        return readable(self.path)

    @classmethod
    def of(cls, path: Path) -> Input:
        """The file at `path` as it is now.

        Raises:
          OSError: there is none, or it cannot be looked at.
        """
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(path)
        return cls(path, path_text(path.resolve()), found.st_size, found.st_mtime_ns // 1000)


@dataclasses.dataclass
class Listing:
    """What was found.

    Attributes:
      inputs: each file once, whatever its names, in the order given; folders sorted.
      faults: what is wrong with an argument or below it, one line each.
      notes: what was left out of folders, one line each.
    """

    inputs: list[Input] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def collect(given: Sequence[str], lines: Iterable[str], *, without: Path) -> Listing:
    """Lists the files that the arguments name.

    Args:
      given: paths, globs, and '-' for `lines`.
      lines: one path or glob each.
      without: a folder that is left out (of results).
    """
    made = Listing()
    seen: set[str] = set()
    skipped = without.resolve()
    for argument in _arguments(given, lines):
        for path in _paths(argument, made, skipped):
            try:
                found = Input.of(path)
            except (OSError, RuntimeError) as error:
                why = getattr(error, 'strerror', None) or 'no file'
                made.faults.append(f'{readable(path)}: cannot be read ({why})')
                continue
            if found.file not in seen:
                seen.add(found.file)
                made.inputs.append(found)
    return made


def stdin_lines(stream: BinaryIO) -> Iterator[str]:
    """The paths on stdin: one per line, or each ended by NUL as of `find -print0`."""
    content = stream.read()
    separator = b'\0' if content.endswith(b'\0') else b'\n'
    for line in content.removeprefix(b'\xef\xbb\xbf').split(separator):
        yield os.fsdecode(line if separator == b'\0' else line.removesuffix(b'\r'))


def _arguments(given: Sequence[str], lines: Iterable[str]) -> Iterator[str]:
    for argument in given:
        if argument == STDIN:
            for line in lines:
                text = line.removesuffix('\n')
                if text.strip():
                    yield text if folders.exists(text) else text.strip()
        else:
            yield argument


def _paths(argument: str, made: Listing, skipped: Path) -> Iterator[Path]:
    """The files of one argument; a name that is there is taken as it is before it is a pattern."""
    shown = readable(argument) or "''"
    path = folders.existing(argument)
    if path is None:
        pattern = _as_pattern(argument)
        matches = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 (absolute patterns)
        files = [one for one in matches if one.is_file() and not _is_inside(one, skipped)]
        if not files:
            what = 'matches no file' if glob.has_magic(pattern) else _NO_FILE
            made.faults.append(f'{shown}: {what}')
        yield from files
    elif _is_inside(path, skipped):
        made.faults.append(f'{shown}: is in the folder of the results; give another --out')
    elif path.is_dir():
        walked = folders.walk(path, _READ, without=skipped)
        made.faults += walked.faults
        made.notes += walked.notes
        if not walked.files:
            made.faults.append(f'{shown}: a folder without photos or videos')
        yield from walked.files
    else:
        yield path


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)


def _as_pattern(argument: str) -> str:
    """The pattern with the folders that it begins with taken as they are: 'trip [2]/*.jpg'."""
    text = os.path.expanduser(argument)  # noqa: PTH111 (of a pattern)
    if '\0' in text:
        return glob.escape(text.replace('\0', '\\0'))
    parts = text.split('/')
    for count in range(len(parts) - 1, 0, -1):
        start = '/'.join(parts[:count])
        if folders.exists(start or '/'):
            return '/'.join([glob.escape(start), *parts[count:]])
    return text
