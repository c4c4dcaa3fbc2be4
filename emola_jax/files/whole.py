"""Files are written whole: under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.locks import try_lock

_PARTIAL = '.partial'
_LONGEST_NAME = 200
"""Bytes of a name that leave room for what is put around it; file systems take 255."""

_FILE = 'file'


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`; on a clean exit it takes the name of `path`.

    After an error inside the block, or a kill at any moment, `path` is what it was before; what a
    killed writer left in the folder, the next process that writes there removes. Its mode is what
    the umask says, whatever library writes it. An error of the file system names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path.parent)
    partial = _partial(path, _FILE)
    try:
        with naming(path, partial), _at_work(partial) as mode:
            yield partial
            _set_mode(partial, mode)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path, written: Path | None = None) -> Iterator[None]:
    """An error of the file system in it names `path`, also where a library left the name out.

    Args:
      path: what is written.
      written: the temporary file or folder that takes its name.

    Raises:
      OSError: with its name and number, whatever kind of error came of it.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None and _SHORT_WRITE.search(str(error)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        names = (None, *([] if written is None else [str(written)]))
        if error.errno is not None and error.filename in names:
            error.filename, error.filename2 = str(path), None
        elif written is not None and str(error.filename).startswith(f'{written}{os.sep}'):
            error.filename = f'{path}{os.sep}{Path(str(error.filename)).relative_to(written)}'
        raise
    except Exception as error:
        if isinstance(error, UserError) or (number := quoted_fault(error)) is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


_SHORT_WRITE = re.compile(r'\d+ requested and \d+ written')
"""What NumPy says, without a number, where the disk is full."""

_QUOTED = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EROFS)


def quoted_fault(error: BaseException) -> int | None:
    """The number of the file system's error whose words another error quotes; None for none."""
    said = str(error)
    return next((number for number in _QUOTED if os.strerror(number) in said), None)


@contextlib.contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a new folder next to `path`; on a clean exit it is on disk whole and takes the name.

    After an error inside the block, or a kill at any moment, `path` is what it was before; what a
    killed writer left, the next one removes. (If the kill came in the moment between the two
    renames of an overwrite, the next one puts the old folder back first.)

    Args:
      path: the folder's name.
      overwrite: whether a folder that is there already may be replaced.

    Raises:
      UserError: something of that name is there, and `overwrite` is False.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _tidy(path)
    if path.exists() and not overwrite:
        raise UserError(f'{path}: exists already; name another folder, or overwrite it')
    partial, old = _partial(path, 'new'), _partial(path, 'old')
    partial.mkdir()
    try:
        with _held(partial), naming(path, partial):
            yield partial
            mode = partial.stat().st_mode
            for written in [*partial.rglob('*'), partial]:
                if written.is_file():
                    _set_mode(written, mode & 0o666)
                _sync(written)
            if path.exists():
                path.replace(old)
            partial.replace(path)
            _sync(path.parent)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _partial(path: Path, kind: str) -> Path:
    """A name that no other writer has, on this machine or on one that shares the folder."""
    return path.with_name(f'.{_short(path.name)}.{kind}.{secrets.token_hex(8)}{_PARTIAL}')


def _short(name: str) -> str:
    """The name, or a hash of one that leaves no room for a prefix and a suffix."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_NAME else hashlib.sha256(encoded).hexdigest()[:32]


@contextlib.contextmanager
def _at_work(partial: Path) -> Iterator[int]:
    """Makes a temporary file and marks it as at work, as `_held` does a folder; yields its mode."""
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _set_mode(path: Path, mode: int) -> None:
    """Gives a file its mode; libraries that write under a name of their own make it 0600."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


@functools.cache
def _remove_left(folder: Path) -> None:
    """Removes the temporary files of killed writers, once in a process; others' stay."""
    for left in folder.glob(f'.*.{_FILE}.*{_PARTIAL}'):
        with contextlib.suppress(OSError), left.open('r+b') as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Marks a folder as at work; the system takes the mark off when its holder ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _tidy(path: Path) -> None:
    """Removes what killed writers of `path` left, and gives it back its old content."""
    prefix = f'.{_short(path.name)}.'
    for left in path.parent.iterdir():
        kind = left.name.removeprefix(prefix).split('.')[0]
        is_left = left.name.startswith(prefix) and left.name.endswith(_PARTIAL)
        if not is_left or kind not in ('new', 'old') or _is_held(left):
            continue
        if kind == 'old' and not path.exists():
            left.replace(path)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return True  # gone, or not ours
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def below(root: Path, name: str) -> Path:
    """The path that a file's data name, if it stays below a folder; links are resolved.

    Args:
      root: the folder.
      name: relative to it, as read from a file that anybody may have written.

    Raises:
      UserError: the path leads out of the folder.
    """
    path = root / name
    try:
        stays = '\0' not in name and path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # too long, a circle of links
        stays = False
    if not stays:
        raise UserError(f'{name!r} leads out of {root}')
    return path


def write_text(path: Path, text: str) -> None:
    """Writes `text` (UTF-8) to `path`, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding='utf-8')


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + '\n')


def read_jsonl(path: Path, fields: Collection[str] = ()) -> list[JsonObject]:
    """Reads one JSON object a line of a file that this project writes; a missing file is empty.

    A last line without its end, which a kill cut short, is left out.

    Args:
      path: the file.
      fields: that every line has.

    Raises:
      UserError: a line is no JSON object, or lacks one of `fields`: the file was damaged.
    """
    return [row for _, row in numbered_jsonl(path, fields)]


def numbered_jsonl(path: Path, fields: Collection[str] = ()) -> Iterator[tuple[str, JsonObject]]:
    """The rows that `read_jsonl` reads, each after its file and line, as messages name them.

    Raises:
      UserError: a line is no JSON object: the file was damaged.
    """
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b'\n')[:-1], start=1):
        if line.strip():
            where = f'{path}, line {number}'
            row = parse_json(line, where)
            if not isinstance(row, dict):
                raise UserError(f'{where}: expected a JSON object, found {row!r:.40}')
            if lacking := [name for name in fields if name not in row]:
                raise UserError(f'{where}: lacks {", ".join(lacking)}')
            yield where, row


def read_json(path: Path) -> JsonObject:
    """Reads a file that holds one JSON object.

    Raises:
      UserError: there is no such file, it cannot be read, or something else is in it.
    """
    value = parse_json(read_bytes(path), str(path))
    if not isinstance(value, dict):
        raise UserError(f'{path}: expected a JSON object, found {type(value).__name__}')
    return value


def read_bytes(path: Path) -> bytes:
    """Reads a file.

    Raises:
      UserError: there is no such file, it cannot be read, or it is a Git LFS pointer.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f'{path}: no such file') from None
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None
    if content.startswith(LFS_POINTER):
        raise UserError(f'{path}: {LFS_FAULT}')
    return content


LFS_POINTER = b'version https://git-lfs.github.com/spec/'
"""How a file begins that stands for one which Git LFS has not fetched."""

LFS_FAULT = 'a Git LFS pointer, the file itself was not downloaded: git lfs pull'


def parse_json(
    text: str | bytes,
    where: str,
    *,
    pairs: Callable[[list[tuple[str, object]]], object] | None = None,
) -> Any:
    """Parses JSON (as bytes: UTF-8, with or without a byte order mark).

    Args:
      text: to parse.
      where: file and line, for the message.
      pairs: makes something else than a dict of an object's fields.

    Raises:
      UserError: it is no JSON, no UTF-8, or nested too deep.
    """
    try:
        decoded = text.decode('utf-8-sig') if isinstance(text, bytes) else text
        return json.loads(decoded, object_pairs_hook=pairs)
    except UnicodeDecodeError as error:
        raise UserError(f'{where}: not UTF-8 at byte {error.start}') from None
    except RecursionError:
        raise UserError(f'{where}: not JSON that can be read (nested too deep)') from None
    except ValueError as error:
        raise UserError(f'{where}: not JSON ({error})') from None


def drop_torn_line(path: Path) -> None:
    """Cuts off a last line that a kill left without its end; a missing file stays missing."""
    if not path.exists():
        return
    with path.open('r+b') as file:
        content = file.read()
        file.truncate(content.rfind(b'\n') + 1)
