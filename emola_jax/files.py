"""Files are written whole: under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on a clean exit it takes the name of `path`.

    After an error inside the block, or a kill at any moment, `path` is what it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a new folder beside `path`; on a clean exit it is on disk whole and takes the name.

    After an error inside the block, or a kill at any moment, `path` is what it was before; what a
    killed writer left behind, the next one removes. (If the kill came in the moment between the two
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
    partial = path.with_name(f'.{path.name}.new.{os.getpid()}{_PARTIAL}')
    old = path.with_name(f'.{path.name}.old.{os.getpid()}{_PARTIAL}')
    partial.mkdir()
    try:
        yield partial
        for written in [*partial.rglob('*'), partial]:
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


_PARTIAL = '.partial'


def _tidy(path: Path) -> None:
    """Removes what killed writers of `path` left, and gives it back its old content."""
    for left in path.parent.glob(f'.{path.name}.*{_PARTIAL}'):
        _, kind, process = left.name.removesuffix(_PARTIAL).rsplit('.', 2)
        if _is_alive(process):
            continue
        if kind == 'old' and not path.exists():
            left.replace(path)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes `text` (UTF-8) to `path`, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding='utf-8')


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + '\n')


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Reads one JSON object a line; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b'\n') and line.strip()]


def drop_torn_line(path: Path) -> None:
    """Cuts off a last line that a kill left without its end; a missing file stays missing."""
    if not path.exists():
        return
    with path.open('r+b') as file:
        content = file.read()
        file.truncate(content.rfind(b'\n') + 1)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Reads a file that anybody wrote: one JSON object a line, the last one with or without an end.

    Raises:
      UserError: there is no such file, no line in it, or a line that is no JSON object.
    """
    if not path.is_file():
        raise UserError(f'{path}: no such file; expected one JSON object a line')
    rows = []
    for number, line in enumerate(path.read_text(encoding='utf-8-sig').split('\n'), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f'{path}, line {number}: not JSON ({error})') from None
        if not isinstance(row, dict):
            raise UserError(f'{path}, line {number}: expected a JSON object')
        rows.append(row)
    if not rows:
        raise UserError(f'{path}: empty; expected one JSON object a line')
    return rows
