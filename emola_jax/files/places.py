"""Where a command's files go: paths as people write them, and what the file system says of them."""

from __future__ import annotations

import argparse
import errno
import os
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.whole import quoted_fault

_NEXT_STEPS = {
    errno.EACCES: 'make it accessible, or name another place',
    errno.EDQUOT: 'make room, or name another place, and run the command again',
    errno.EEXIST: 'name another place',
    errno.EISDIR: 'a file was expected',
    errno.ENAMETOOLONG: 'give it a shorter name',
    errno.ENOSPC: 'make room, or name another place, and run the command again',
    errno.ENOTDIR: 'a folder was expected',
    errno.EPERM: 'make it accessible, or name another place',
    errno.EROFS: 'name another place',
}


def file_system_fault(error: BaseException) -> str | None:
    """The sentence of an error that the file system caused; None for any other.

    Libraries wrap such errors (or, from C++, only quote the system's words), so that causes are
    looked at too.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            if isinstance(seen, ConnectionError):
                return None
            places = [os.fsdecode(p) for p in (seen.filename, seen.filename2) if _is_path(p)]
            return _sentence(' -> '.join(places), seen.errno)
        if (number := quoted_fault(seen)) is not None:
            return f'{_sentence("", number)} ({" ".join(str(seen).split())[:300]})'
        seen = seen.__cause__ or seen.__context__
    return None


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes | os.PathLike)


def _sentence(place: str, number: int) -> str:
    what = os.strerror(number)
    fault = f'{place}: {what[0].lower()}{what[1:]}' if place else what
    return f'{fault}; {_NEXT_STEPS[number]}' if number in _NEXT_STEPS else fault


def path(text: str) -> Path:
    """A path with `~` expanded, as an `argparse` type.

    A shell does not expand it in `--out=~/x`.

    Raises:
      argparse.ArgumentTypeError: it is empty, or holds a NUL.
    """
    if '\0' in text:
        raise argparse.ArgumentTypeError(f'{text!r}: a path holds no NUL character')
    try:
        return Path(given(text)).expanduser()
    except RuntimeError:  # no such user, or no home: a file may well be called so
        return Path(text)


def path_of_flag(flag: str, text: str) -> Path:
    """`path` for flags that are not of `argparse`.

    Raises:
      UserError: it is empty, or holds a NUL; says in which flag.
    """
    try:
        return path(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f'{flag}: {error}') from None


def given(text: str) -> str:
    """A text that is not empty, as an `argparse` type: `--out=$UNSET` is a mistake.

    Raises:
      argparse.ArgumentTypeError: it is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError('is empty; expected a path ("." is this folder)')
    return text


def check_output_file(path: Path) -> None:
    """Finds out before any work whether a file can be written.

    Raises:
      UserError: it is a folder, or its folder is none or closed to us.
    """
    check_output_folder(path.parent)
    if path.is_dir():
        raise UserError(f'{path}: is a folder; the name of a file was expected')


def check_output_folder(path: Path) -> None:
    """Finds out before any work whether files can be written in a folder, made if need be.

    Raises:
      UserError: it, or what it would be made in, is no folder or closed to us.
    """
    try:
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
    except OSError as error:
        raise UserError(file_system_fault(error)) from None
    if not there.is_dir():
        raise UserError(f'{there}: is a file; a folder was expected, name another place')
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f'{there}: nothing can be written there; name another place')
