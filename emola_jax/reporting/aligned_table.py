"""A Markdown table whose columns line up on a terminal as well."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(heads: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """The first column to the left, the others to the right; a number with one decimal.

    Args:
      heads: of the columns.
      lines: texts, numbers, and None for an empty cell.
    """
    cells = [[_cell(value) for value in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]

    def row(values: Sequence[str]) -> str:
        first, *others = zip(values, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        return f'| {" | ".join(padded)} |'

    rule = '|'.join('-' * (width + 1) + (':' if i else '-') for i, width in enumerate(widths))
    return '\n'.join([row(heads), f'|{rule}|', *map(row, cells)])


def _cell(value: object) -> str:
    if value is None:
        return ''
    return value if isinstance(value, str) else f'{value:.1f}'
