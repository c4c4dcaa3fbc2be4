r"""Tables as CSV files that a spreadsheet opens without running anything in them.

A text that a spreadsheet would take for a formula gets an apostrophe in front, as OWASP recommends
against "CSV injection"; so does what would become one where semicolons or tabs separate cells, as
in half of the world. Numbers stay numbers. The way back takes exactly these apostrophes away:

    rows = csv_files.read(Path('predictions.csv'))
    text = csv_files.unescaped(cell)
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.whole import atomic_write

# What programs pass over before they look for a formula: blanks, controls, characters without
# width, and quotes. A text's own apostrophe is among them, so that it gets another one and the way
# back is exact. No separator is, so that the patterns take time in proportion to the text.
_PASSED_OVER = (
    r'[\x00-\x08\x0b\x0c\x0e-\x20\x7f-\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000'
    r'\ufeff"\'`\u2018-\u201f]*'
)
_FORMULA = r'=+\-@\uff1d\uff0b\uff0d\uff20'
_AT_RISK = (
    rf'(?:\A(?=%s{_PASSED_OVER}[{_FORMULA}\t\n\r])|(?<=[;\t\n\r])(?=%s{_PASSED_OVER}[{_FORMULA}]))'
)
_UNESCAPED = re.compile(_AT_RISK % ('', ''))
_ESCAPED = re.compile(_AT_RISK % ("'", "'") + "'")

_NUMBER = r'[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?'
_NUMBERS = re.compile(rf'{_NUMBER}(?: {_NUMBER})*', re.ASCII)


def escaped(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula; numbers are left alone."""
    return text if _NUMBERS.fullmatch(text) else _UNESCAPED.sub("'", text)


def unescaped(cell: str) -> str:
    """The text that `escaped` was given."""
    return _ESCAPED.sub('', cell)


def write(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a table, whole or not at all; numbers as they are, all else escaped.

    Args:
      path: the file; UTF-8, separated by commas.
      columns: names of the columns.
      rows: their cells.
    """
    with (
        atomic_write(path) as partial,
        partial.open('w', newline='', encoding='utf-8', errors='backslashreplace') as file,
    ):
        writer = csv.writer(file)
        writer.writerow(map(_cell, columns))
        writer.writerows(map(_cell, row) for row in rows)


def read(path: Path) -> list[dict[str, str]]:
    """Reads a table that `write` wrote: each row's texts by column, as they were given.

    Raises:
      UserError: there is no such file, or it is no such table.
    """
    limit = csv.field_size_limit()
    try:
        with path.open(newline='', encoding='utf-8') as file:
            csv.field_size_limit(max(limit, path.stat().st_size))
            header, *rows = [list(map(unescaped, row)) for row in csv.reader(file, strict=True)]
    except FileNotFoundError:
        raise UserError(f'{path}: no such file') from None
    except (csv.Error, ValueError) as error:
        raise UserError(f'{path}: no table that this project wrote ({error})') from None
    finally:
        csv.field_size_limit(limit)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise UserError(f'{path}: row {number} has {len(row)} cells, the header {len(header)}')
    return [dict(zip(header, row, strict=True)) for row in rows]


def _cell(value: object) -> float | str | None:
    return value if value is None or isinstance(value, int | float) else escaped(str(value))
