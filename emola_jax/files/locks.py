"""Locks of folders and of work: the system takes them from a process that ends, at any moment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from emola_jax.errors import UserError

_LOCK = '.lock'


def try_lock(descriptor: int) -> bool:
    """Takes an advisory lock if it is free; False where another process holds it.

    A file system without locks (some network mounts) gives it to everybody.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        print(f'no locks on this file system ({error.strerror}): one process at a time, please')
    return True


@contextlib.contextmanager
def one_writer(folder: Path, doing: str) -> Iterator[None]:
    """Makes the folder and holds it: a second process that wants to write there is refused.

    The system releases the folder when its holder ends, however it ends. In a run of several hosts
    only one of them takes it.

    Args:
      folder: that is written to.
      doing: what the holder does, for the message of the refused: 'trains', 'answers photos'.

    Raises:
      UserError: another process holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _open_lock(folder / _LOCK) as descriptor:
        if not try_lock(descriptor):
            holder = os.read(descriptor, 1000).decode(errors='replace').strip()
            raise UserError(
                f'{folder}: in use by {holder or "another process"}; wait for it, stop it, or name '
                'another folder'
            )
        _sign(descriptor, doing)
        yield


@contextlib.contextmanager
def waiting_turn(lock: Path, work: str) -> Iterator[int]:
    """Lets one process at a time in: a second one says so, waits, and mostly finds the work done.

    Args:
      lock: the file that says whose turn it is; made if need be, with its folder.
      work: what they do, for the message: 'trains the vision tower'.

    Yields:
      The descriptor of the lock file; a child process that inherits it holds the lock too.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with _open_lock(lock) as descriptor:
        if not try_lock(descriptor):
            holder = os.read(descriptor, 1000).decode(errors='replace').strip()
            print(f'waiting for {holder or f"another process, which {work}"}', file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        _sign(descriptor, work)
        yield descriptor


@contextlib.contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sign(descriptor: int, doing: str) -> None:
    """Writes into a held lock file who holds it; it is held as well where the disk is full."""
    holder = f'process {os.getpid()} on {socket.gethostname()}, which {doing}'
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
