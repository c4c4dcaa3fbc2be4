"""Label files of many makers: tables with any usual separator, and plain lists.

Tables follow the rules of Python's csv module: a cell in double quotes may hold separators, line
breaks and doubled quotes, and nothing else is special. What is no part of a text, white space
around a cell, goes.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.texts import read_text

_DELIMITERS = ',;\t'
_BLANK_LINES = re.compile(r'\A(?:\s*\n)+')
_EXCEL_HINT = re.compile(r'\s*"?sep=(?P<delimiter>[^\w"\s]|\t)"?\s*')
"""Excel's first line that says what separates cells."""
_IN_QUOTES = re.compile(r'"[^"]*"')
_WHOLE = re.compile(r'\d{1,15}(?:\.0*)?', re.ASCII)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row as it stands in a file.

    Attributes:
      line: where it begins, from 1.
      cells: its texts.
      fault: why the cells cannot be relied on, '' if they can.
    """

    line: int
    cells: list[str]
    fault: str = ''


@dataclasses.dataclass(frozen=True)
class Record:
    """A row under its header.

    Attributes:
      line: where it begins, from 1.
      cells: its texts by column; empty where there is a fault.
      fault: what is wrong with it, such as 'has 4 cells and the header 3'; '' if nothing is.
    """

    line: int
    cells: dict[str, str]
    fault: str = ''


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
      columns: names in lower case.
      records: the rows below the header.
    """

    columns: list[str]
    records: list[Record]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every line that isn't blank.

    Raises:
      UserError: as `read_text`.
    """
    for number, line in enumerate(read_text(path).split('\n'), start=1):
        if line.strip():
            yield number, line.strip()


def rows(path: Path) -> list[Row]:
    """Every row that isn't blank, its cells separated by comma, semicolon or tab.

    The separator is the one that Excel's `sep=` names, or else that the first line has most of.

    Raises:
      UserError: as `read_text`, or a quote that never ends.
    """
    text = read_text(path)
    skipped = len(text) - len(_BLANK_LINES.sub('', text, count=1))
    first = text[skipped:].split('\n', 1)[0]
    if hint := _EXCEL_HINT.fullmatch(first):
        delimiter = hint['delimiter']
        skipped += len(first) + 1
    else:
        outside = _IN_QUOTES.sub('', first)
        delimiter = max(_DELIMITERS, key=outside.count)
    above = text.count('\n', 0, skipped)
    return list(_parsed(path, text[skipped:], delimiter, above))


def _parsed(path: Path, text: str, delimiter: str, above: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    while True:
        line = above + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if 'expected after' not in str(error):
                raise UserError(
                    f'{path}, line {line}: no row of a table; a quote opens there that never ends '
                    f'({error})'
                ) from None
            yield Row(line, [], 'has text after a closing quote; double the quotes inside a text')
            continue
        fault = ''
        if any(cell.lstrip().startswith('"') and cell[0].isspace() for cell in cells if cell):
            fault = f'a space stands between {delimiter!r} and a quote, which then quotes nothing'
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield Row(line, stripped, fault)


def table(path: Path, needed: Iterable[str] = ()) -> Table:
    """The rows below a header, by its column names (in lower case).

    Raises:
      UserError: as `rows`, a needed column is missing, two columns share a name, or there is no
        row.
    """
    found = rows(path)
    if not found:
        raise UserError(f'{path}: expected a table with a header, found nothing')
    if found[0].fault:
        raise UserError(f'{path}, line {found[0].line}: {found[0].fault}')
    header = [name.lower() for name in found[0].cells]
    if lacking := [name for name in needed if name.lower() not in header]:
        raise UserError(
            f'{path}: the header lacks the column(s) {", ".join(lacking)}; it has '
            f'{", ".join(header[:20])}'
        )
    named = [name for name in header if name]
    if repeated := sorted({name for name in named if named.count(name) > 1}):
        raise UserError(f'{path}: the header has {", ".join(repeated)} more than once')
    if len(found) == 1:
        raise UserError(f'{path}: expected rows below the header, found none')
    return Table(header, [_record(header, row) for row in found[1:]])


def _record(header: list[str], row: Row) -> Record:
    cells = row.cells
    while len(cells) > len(header) and not cells[-1]:
        cells = cells[:-1]
    count = f'has {len(cells)} cell{"s" * (len(cells) != 1)} and the header {len(header)}'
    if not cells or len(cells) == len(header):
        return Record(
            row.line, {} if row.fault else dict(zip(header, cells, strict=True)), row.fault
        )
    reason = row.fault or 'a text with a separator or a line break in it needs double quotes'
    return Record(row.line, {}, f'{count}: {reason}')


def whole_number(text: str) -> int | None:
    """The number that a cell holds ('12', or '12.0' as spreadsheets write it), or None."""
    return int(float(text)) if _WHOLE.fullmatch(text) else None
