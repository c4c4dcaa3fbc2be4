"""A table of scores as Markdown or as LaTeX with booktabs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

FORMATS = ('markdown', 'latex')

MARK = '†'
"""Behind the name of a method whose figures are published ones."""


@dataclasses.dataclass(frozen=True)
class Number:
    """A score in percent, None where there is none, and its 95 % interval where there is one."""

    value: float | None
    interval: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """A method under one scoring; `published` ones were not measured here."""

    name: str
    scoring: str
    numbers: tuple[Number, ...]
    published: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of methods.

    Attributes:
      key: names it in links and labels: letters, digits and hyphens.
      title: one sentence.
      groups: (title, number of columns) of what stands above the columns; may be empty.
      columns: titles of the number columns; 'S_re' is set with a subscript.
      rows: measured ones first.
      notes: sentences below the table.
      decimals: of measured numbers; published ones keep those that they were printed with.
    """

    key: str
    title: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    decimals: int = 1


def write(table: Table, form: str) -> str:
    """The table as text; `form` is one of `FORMATS`."""
    return {'markdown': markdown, 'latex': latex}[form](table)


def markdown(table: Table) -> str:
    """The table as GitHub-flavoured Markdown, with its title above and its notes below."""
    groups = [title for title, span in table.groups for _ in range(span)]
    columns = [
        f'{group} {column}'.strip()
        for group, column in zip(groups or [''] * len(table.columns), table.columns, strict=True)
    ]
    head = ['Method', 'Scoring', *(_subscripts(name, r'\1<sub>\2</sub>') for name in columns)]
    lines = [head, ['---', '---', *['---:'] * len(columns)]]
    lines += [
        [
            _escape_markdown(row.name) + (f' {MARK}' if row.published else ''),
            row.scoring,
            *_numbers(table, row, missing='–', interval='({} to {})'),
        ]
        for row in table.rows
    ]
    notes = ''.join(f'\n{_escape_markdown(note)}\n' for note in table.notes)
    body = '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in lines)
    return f'**{_escape_markdown(table.title)}**\n\n{body}\n{notes}'


def latex(table: Table) -> str:
    r"""The table as a LaTeX float; needs `\usepackage{booktabs}` and nothing else."""
    lines = [
        r'\begin{table}[t]',
        r'\centering',
        rf'\caption{{{_latex_sentence([table.title, *table.notes])}}}',
        rf'\label{{tab:{table.key}}}',
        r'\small',
        r'\setlength{\tabcolsep}{4pt}',
        rf'\begin{{tabular}}{{ll{"r" * len(table.columns)}}}',
        r'\toprule',
        *_latex_groups(table.groups),
        _latex_row(['Method', 'Scoring', *(_latex_column(name) for name in table.columns)]),
        r'\midrule',
    ]
    for before, row in zip([None, *table.rows], table.rows, strict=False):
        if before is not None and row.published and not before.published:
            lines.append(r'\midrule')
        name = escape_latex(row.name) + (r'$^\dagger$' if row.published else '')
        cells = _numbers(table, row, missing='--', interval=r'{{\scriptsize({}, {})}}')
        lines.append(_latex_row([name, escape_latex(row.scoring), *cells]))
    lines += [r'\bottomrule', r'\end{tabular}', r'\end{table}', '']
    return '\n'.join(lines)


_LATEX_SPECIAL = {
    '\\': r'\textbackslash{}',
    '{': r'\{',
    '}': r'\}',
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    **{sign: '\\' + sign for sign in '&%$#_'},
    '<': r'\textless{}',
    '>': r'\textgreater{}',
    '|': r'\textbar{}',
    MARK: r'$^\dagger$',
    '≥': r'$\geq$',
    '–': '--',
    '’': "'",
}


def escape_latex(text: str) -> str:
    """`text` as LaTeX that prints it; a line break becomes a blank."""
    return ''.join(_LATEX_SPECIAL.get(sign, sign) for sign in ' '.join(text.split()))


def _escape_markdown(text: str) -> str:
    return re.sub(r'([\\`*_\[\]<>|])', r'\\\1', ' '.join(text.split()))


_SUBSCRIPT = re.compile(r'\b(S)_(\w+)')


def _subscripts(text: str, replacement: str) -> str:
    return _SUBSCRIPT.sub(replacement, text)


def _latex_column(name: str) -> str:
    if _SUBSCRIPT.fullmatch(name):
        return _subscripts(name, r'$\1_{\\mathrm{\2}}$')
    return escape_latex(name)


def _latex_sentence(parts: Sequence[str]) -> str:
    return ' '.join(escape_latex(part if part.endswith('.') else part + '.') for part in parts)


def _latex_groups(groups: Sequence[tuple[str, int]]) -> list[str]:
    if not groups:
        return []
    cells, rules, first = ['', ''], [], 3
    for title, span in groups:
        cells.append(rf'\multicolumn{{{span}}}{{c}}{{{escape_latex(title)}}}')
        rules.append(rf'\cmidrule(lr){{{first}-{first + span - 1}}}')
        first += span
    return [_latex_row(cells), ' '.join(rules)]


def _latex_row(cells: Sequence[str]) -> str:
    return ' & '.join(cells) + r' \\'


def _numbers(table: Table, row: Row, *, missing: str, interval: str) -> list[str]:
    return [
        missing
        if number.value is None
        else as_printed(number.value, table.decimals)
        if row.published
        else _measured(number, table.decimals, interval)
        for number in row.numbers
    ]


def _measured(number: Number, decimals: int, interval: str) -> str:
    value = f'{number.value:.{decimals}f}'
    if number.interval is None:
        return value
    return f'{value} ' + interval.format(*(f'{bound:.{decimals}f}' for bound in number.interval))


def as_printed(value: float, decimals: int) -> str:
    """A published figure with the table's decimals, or two where it was printed with more."""
    return f'{value:.{decimals if round(value, decimals) == value else 2}f}'
