"""sha256 of files, kept with them, so that what a disk changed is noticed and named.

A folder's sums are its file SHA256SUMS, those of a single file X are X.sha256. Both have the form
that `sha256sum --check` reads. A comment in the first line of SHA256SUMS seals the lines below it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.whole import atomic_write

SUMS_FILE = 'SHA256SUMS'

SUFFIX = '.sha256'
"""Of the file that holds the sum of a single one."""

Sums = dict[str, str]
"""Name of a file, relative to the folder, with `/` -> sha256 in hex."""

_SEAL = '# sha256 of the lines below: '
_LINE = re.compile(r'(\\?)([0-9a-f]{64})  (.+)')
_THREADS = 4
"""Files that are hashed at a time; hashing lets go of Python's lock."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with a file that has a checksum.

    Attributes:
      name: of the file, relative to the folder of its SHA256SUMS.
      what: is wrong with it, to follow the name in a sentence.
    """

    name: str
    what: str

    def __str__(self) -> str:
        """Name and fault."""
        return f'{self.name} {self.what}'


class Damaged(UserError):
    """Files are not what was written; the message names the first of them."""


def sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def sha256_of_all(folder: Path, names: Collection[str]) -> Sums:
    """sha256 of several files, a few at a time."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(names, pool.map(lambda name: sha256(folder / name), names), strict=True))


def names_below(folder: Path) -> list[str]:
    """The regular files below a folder, sorted, without those that hold checksums."""
    found = (path for path in folder.rglob('*') if path.is_file() and path.name != SUMS_FILE)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def write(folder: Path, names: Collection[str] | None = None) -> None:
    """Writes SHA256SUMS, whole or not at all.

    Args:
      folder: where it goes.
      names: the files to sum up, relative to it; all below it by default.
    """
    sums = sha256_of_all(folder, names_below(folder) if names is None else names)
    with atomic_write(folder / SUMS_FILE) as partial:
        partial.write_bytes(encode(sums))


def encode(sums: Sums) -> bytes:
    """The bytes of a SHA256SUMS."""
    lines = ''.join(_line(name, digest) for name, digest in sums.items())
    body = lines.encode('utf-8', 'surrogateescape')
    return f'{_SEAL}{hashlib.sha256(body).hexdigest()}\n'.encode() + body


def read(folder: Path) -> Sums | None:
    """The sums of a folder's files, or None where there is no SHA256SUMS of ours.

    Raises:
      Damaged: SHA256SUMS itself is.
    """
    path = folder / SUMS_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    first, _, body = content.partition(b'\n')
    if not first.startswith(b'# ') and b' of the lines ' not in first:
        return None  # somebody else's
    seal = _SEAL + hashlib.sha256(body).hexdigest()
    lines = body.decode('utf-8', 'surrogateescape').split('\n')
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]
    if first != seal.encode() or None in matches:
        raise Damaged(f'{path}: is damaged (its lines are not those that its first one sealed)')
    return {_name(match[1], match[3]): match[2] for match in matches if match}


def faults(folder: Path, sums: Sums) -> list[Fault]:
    """Which of the files are missing, cannot be read, or are not what was summed up."""
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda name: fault(folder, name, sums[name]), sums)
        return [one for one in found if one]


def fault(folder: Path, name: str, digest: str) -> Fault | None:
    """What is wrong with one file of a folder, if anything is."""
    path = folder / name
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Fault(name, 'is no file any more')
        same = sha256(path) == digest
    except FileNotFoundError:
        return Fault(name, 'is missing')
    except OSError as error:
        return Fault(name, f'cannot be read ({error.strerror})')
    return None if same else Fault(name, 'is not what was written (its sha256 differs)')


def check(folder: Path, is_wanted: Callable[[str], bool] = lambda name: True) -> bool:
    """Checks the files of a folder against its SHA256SUMS.

    Args:
      folder: that has a SHA256SUMS, or not.
      is_wanted: says by its name whether a file is checked.

    Returns:
      Whether there was anything to check them with.

    Raises:
      Damaged: names the first file that is at fault, and counts the others.
    """
    sums = read(folder)
    if sums is None:
        return False
    chosen = {name: digest for name, digest in sums.items() if is_wanted(name)}
    if wrong := faults(folder, chosen):
        more = f', and {len(wrong) - 1} more' if len(wrong) > 1 else ''
        raise Damaged(f'{folder}: is damaged: {wrong[0]}{more}')
    return True


def check_file(path: Path) -> None:
    """Checks one file if the SHA256SUMS of a folder above it, two levels up at most, knows it.

    Raises:
      Damaged: it is not what was written.
    """
    for folder in (path.parent, path.parent.parent):
        name = path.relative_to(folder).as_posix()
        sums = read(folder)
        if sums is None:
            continue
        if name in sums and (found := fault(folder, name, sums[name])):
            raise Damaged(f'{path}: {found.what}; {way_out(folder)}')
        return


def way_out(folder: Path) -> str:
    """What to do about a damaged file of a folder."""
    return f'restore it from a copy, or remove {folder / SUMS_FILE} if the change is your own'


def _line(name: str, digest: str) -> str:
    escaped = name.replace('\\', '\\\\').replace('\n', '\\n')
    return f'{"" if escaped == name else chr(92)}{digest}  {escaped}\n'


def _name(escape: str, text: str) -> str:
    if not escape:
        return text
    return re.sub(r'\\(.)', lambda match: '\n' if match[1] == 'n' else match[1], text)


# ------------------------------------------------------------------ one file


@contextlib.contextmanager
def sealed_write(path: Path) -> Iterator[Path]:
    """`files.atomic_write` of a file that gets a checksum, for caches that can be made again.

    The checksum is written first: after a kill in between, the file does not match, is not taken
    for whole, and is made again.
    """
    with atomic_write(path) as partial:
        yield partial
        digest = sha256(partial)
        with atomic_write(_beside(path)) as sums:
            sums.write_bytes(os.fsencode(_line(path.name, digest)))


def is_whole(path: Path) -> bool:
    """Whether the file is there and is what `sealed_write` wrote.

    One that has no checksum, as older versions wrote it, is taken as it is.
    """
    if not path.is_file():
        return False
    beside = _beside(path)
    try:
        return beside.read_bytes() == os.fsencode(_line(path.name, sha256(path)))
    except FileNotFoundError:
        return True


def is_usable(path: Path) -> bool:
    """`is_whole`, for who makes the file again otherwise; says so where there is a damaged one."""
    if is_whole(path):
        return True
    if path.exists():
        print(
            f'{path}: is not what was written (see {_beside(path).name}), so it is made again',
            file=sys.stderr,
        )
    return False


def _beside(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
