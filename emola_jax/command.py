"""What the commands share: how a user's mistake ends one, and how a flag's value is read."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from emola_jax import preemption
from emola_jax.errors import Preempted, UserError
from emola_jax.files import quoted_fault

TRACEBACK_VARIABLE = 'EMOLA_TRACEBACK'
"""Set to anything, it shows where a fault of the system (a full disk, say) came up."""

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


@contextlib.contextmanager
def exits_with_a_sentence(name: str = 'emola_jax') -> Iterator[None]:
    """Turns a `UserError`, or a fault of the file system, into one message and exit status 1.

    `Preempted` (SIGTERM) and Ctrl-C are messages as well, with exit statuses of their own. Names of
    files that are no valid text are printed with escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        with preemption.guarded(name):
            yield
    except Preempted as error:
        preemption.end_process(Preempted.EXIT_STATUS, f'{name}: {error}')
    except KeyboardInterrupt:
        preemption.end_process(preemption.INTERRUPTED, f'{name}: {preemption.BY_CTRL_C}')
    except Exception as error:
        if preemption.came():  # and reached a process that this one needs
            preemption.end_process(Preempted.EXIT_STATUS, f'{name}: {preemption.BY_SIGTERM}')
        if isinstance(error, UserError):
            sys.exit(f'{name}: {error}')
        fault = file_system_fault(error)
        if fault is None:
            raise
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        preemption.end_command(1, f'{name}: {fault}')


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
    """A path with `~` expanded, as an `argparse` type and for other flags.

    A shell does not expand it in `--out=~/x`.

    Raises:
      argparse.ArgumentTypeError: it holds a NUL.
    """
    if '\0' in text:
        raise argparse.ArgumentTypeError(f'{text!r}: a path holds no NUL character')
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user: a file may well be called so
        return Path(text)


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


def positive(text: str) -> int:
    """A number of at least 1, as an `argparse` type.

    Raises:
      argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: expected a number of at least 1')
    return int(text)
