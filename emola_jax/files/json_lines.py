"""Rows of a file that anybody wrote, one after the other: a long file is never held whole."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import LFS_FAULT, LFS_POINTER, parse_json, read_bytes

_EXPECTED = 'expected one JSON object a line'


def rows(path: Path) -> Iterator[tuple[str, JsonObject]]:
    """Reads one JSON object a line, the last one with or without an end.

    Only a line feed ends a line: other separators (U+2028, U+0085) are text of the answers. One
    JSON list of objects, or one object over several lines, is read as well.

    Yields:
      Where each object stands, 'FILE, line 3' or 'FILE: entry 2' of a list, and the object.

    Raises:
      UserError: there is no such file, nothing in it, or something that is no JSON object.
    """
    if not path.is_file():
        raise UserError(f'{path}: no such file; {_EXPECTED}')
    found = False
    for where, value in _whole(path) if _is_whole(path) else _by_line(path):
        if not isinstance(value, dict):
            raise UserError(f'{where}: expected a JSON object')
        found = True
        yield where, value
    if not found:
        raise UserError(f'{path}: empty; {_EXPECTED}')


def read(path: Path) -> list[JsonObject]:
    """The objects of `rows`, all at once.

    Raises:
      UserError: as there.
    """
    return [row for _, row in rows(path)]


def _is_whole(path: Path) -> bool:
    """Whether the file is one JSON value: a list, or an object that begins and ends elsewhere."""
    lines = _lines(path)
    first = next(lines, (0, b''))[1]
    if first.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b'['):
        return True
    return not _is_json(first) and _is_json(read_bytes(path))


def _is_json(content: bytes) -> bool:
    try:
        parse_json(content, '')
    except UserError:
        return False
    return True


def _whole(path: Path) -> Iterator[tuple[str, object]]:
    whole = parse_json(read_bytes(path), str(path))
    if isinstance(whole, list):
        yield from ((f'{path}: entry {number}', value) for number, value in enumerate(whole))
    else:
        yield f'{path}, line 1', whole


def _by_line(path: Path) -> Iterator[tuple[str, object]]:
    for number, line in _lines(path):
        where = f'{path}, line {number}'
        yield where, parse_json(line, where)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1.

    Raises:
      UserError: the file cannot be read, or is a Git LFS pointer.
    """
    try:
        with path.open('rb') as file:
            for number, line in enumerate(file, start=1):
                if number == 1 and line.startswith(LFS_POINTER):
                    raise UserError(f'{path}: {LFS_FAULT}')
                if line.strip() not in (b'', codecs.BOM_UTF8):
                    yield number, line
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None
