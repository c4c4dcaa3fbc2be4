"""Label files of many makers: text in any usual encoding, tables with any usual separator."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from emola_jax.errors import UserError

_DELIMITERS = ',;\t'
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: 'utf-8-sig',
    codecs.BOM_UTF16_LE: 'utf-16',
    codecs.BOM_UTF16_BE: 'utf-16',
}


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, or whatever its byte order mark says; any line ends.

    Raises:
      UserError: the file isn't there or holds something else.
    """
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None
    marks = (code for mark, code in _BYTE_ORDER_MARKS.items() if encoded.startswith(mark))
    try:
        text = encoded.decode(next(marks, 'utf-8'))
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: expected UTF-8 text, byte {error.start} is none') from None
    return text.replace('\r\n', '\n').replace('\r', '\n')


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every line that isn't blank.

    Raises:
      UserError: as `read_text`.
    """
    for number, line in enumerate(read_text(path).split('\n'), start=1):
        if line.strip():
            yield number, line.strip()


def rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells of every row that isn't blank, separated by comma, semicolon or tab.

    The separator is the one that the first line has most of. White space and single quotes around
    a cell are no part of it (EmotioNet's table has both).

    Raises:
      UserError: as `read_text`, or a quote that never ends.
    """
    text = read_text(path)
    first = text.lstrip('\n').split('\n', 1)[0]
    reader = csv.reader(text.split('\n'), delimiter=max(_DELIMITERS, key=first.count), strict=True)
    found = []
    try:
        for cells in reader:
            stripped = [cell.strip().strip("'").strip() for cell in cells]
            if any(stripped):
                found.append((reader.line_num, stripped))
    except csv.Error as error:
        raise UserError(f'{path}, line {reader.line_num}: no row of a table ({error})') from None
    return found


def records(path: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells by (lower-cased) column name of every row below the header.

    A row that doesn't fit the header comes without cells, for the reader to report.

    Raises:
      UserError: as `rows`, a needed column is missing, or two columns share a name.
    """
    table = rows(path)
    if not table:
        raise UserError(f'{path}: expected a table with a header, found nothing')
    header = [name.lower() for name in table[0][1]]
    if lacking := [name for name in needed if name.lower() not in header]:
        raise UserError(
            f'{path}: the header lacks the column(s) {", ".join(lacking)}; it has '
            f'{", ".join(header[:20])}'
        )
    named = [name for name in header if name]
    if repeated := sorted({name for name in named if named.count(name) > 1}):
        raise UserError(f'{path}: the header has {", ".join(repeated)} more than once')
    return [(line, _named(header, cells)) for line, cells in table[1:]]


def _named(header: list[str], cells: list[str]) -> dict[str, str]:
    """Cells by column; none at all for a row that has more or fewer than the header."""
    while len(cells) > len(header) and not cells[-1]:
        cells = cells[:-1]
    return dict(zip(header, cells, strict=True)) if len(cells) == len(header) else {}
