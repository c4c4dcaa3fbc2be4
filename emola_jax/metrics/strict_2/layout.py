"""Tables in an answer: Markdown with pipes, tabs, comma-separated rows, columns of blanks."""

from __future__ import annotations

import re

Table = list[list[str]]
"""Rows of cells; the first row may be a head."""

_RULE = re.compile(r'[\s|:+=-]+')
_BULLET = re.compile(r'^\s*(?:[-*+•>]|#+|\d{1,2}[.)])\s+')
_COLUMNS = re.compile(r'\t+| {3,}')
_VALUE = re.compile(r'[✓✗]|[01](?:\.\d+)?|yes|no|true|false|present|absent|active|inactive', re.I)
"""What a column of a comma-separated table holds; 'AU4, AU9' in lines below one another is none."""
_FEWEST = 2


def tables(rows: list[str]) -> tuple[list[Table], list[str]]:
    """The tables among `rows` (raw lines of a text), and the other lines."""
    found: list[Table] = []
    rest: list[str] = []
    run: list[list[str]] = []
    lines: list[str] = []
    ruled = False

    def close() -> None:
        nonlocal run, lines, ruled
        if _is_table(run, kind):
            found.append(run)
        else:
            rest.extend(lines)
        run, lines, ruled = [], [], False

    kind = ''
    for row in rows:
        cells, now = _cells(row)
        if run and now != kind and not (now == 'rule' and kind == 'pipe'):
            close()
        if now == 'rule' and run:
            lines.append(row)
            continue
        if cells and now != 'rule':
            kind = now
            run.append(cells)
            lines.append(row)
        else:
            rest.append(row)
    close()
    return found, rest


def _cells(row: str) -> tuple[list[str], str]:
    """Cells of a line, and which mark parts them."""
    if '|' in row or (row.count('-') > 2 and _RULE.fullmatch(row)):
        if _RULE.fullmatch(row):
            return [], 'rule'
        inner = row.strip().removeprefix('|').removesuffix('|')
        return [_clean(cell) for cell in inner.split('|')], 'pipe'
    inner = _BULLET.sub('', row).strip()
    if '\t' in inner or '   ' in inner:
        cells = [_clean(cell) for cell in _COLUMNS.split(inner)]
        # A cell that ends with a colon, or is a dash, is prose with wide blanks.
        return (
            ([], '')
            if any(cell.endswith(':') or cell in ('-', '–') for cell in cells)
            else (cells, 'tab')
        )
    for mark in (',', ';'):
        if mark in row and not re.search(r'[.:;(]\s', row):
            return [_clean(cell) for cell in row.split(mark)], mark
    return [], ''


def _clean(cell: str) -> str:
    return ' '.join(re.sub(r'\*+|`+|__+', '', cell).split())


def _is_table(run: list[list[str]], kind: str) -> bool:
    if not run:
        return False
    if kind == 'pipe':
        return len(run) >= _FEWEST and max(map(len, run)) >= _FEWEST
    widths = {len(cells) for cells in run}
    if len(run) < _FEWEST or len(widths) > 1 or max(widths) < _FEWEST:
        return False
    return kind not in (',', ';') or any(
        all(_VALUE.fullmatch(cells[i]) for cells in run[1:]) for i in range(1, max(widths))
    )
