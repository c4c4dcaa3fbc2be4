"""Action units in tables: one a row, one a column, or in columns such as 'Present' and 'Absent'."""

from __future__ import annotations

import re
from collections.abc import Iterator

from emola_jax.metrics.strict_2 import layout, listing, mentions, objects, tables, verdicts
from emola_jax.metrics.strict_2.claims import Claim
from emola_jax.metrics.strict_2.entries import describes
from emola_jax.metrics.strict_2.mentions import Finder

_DECIDES = re.compile(r'\b(?:change|verdict|status|decision|result|final|state|activated?)\b', re.I)
_ASIDE = re.compile(
    r'confidence|certainty|baseline|before|reference|neutral|reason|notes?\b|comment|rationale',
    re.I,
)
_SIDE = re.compile(r'\W*(?:left|right|l|r)\b', re.I)


def claims(table: layout.Table, finder: Finder) -> Iterator[Claim]:
    """Claims of a table: by row, or by column where the head holds the units or the verdicts."""
    head, rows = table[0], table[1:]
    columns = [objects.au_of_key(cell) for cell in head]
    if mentions.is_word(head[0]):  # 'AU | 1 | 2 | 4'
        columns = [None, *(objects.au_of_key(cell, bare=True) for cell in head[1:])]
    if len({au for au in columns if au is not None}) >= 2:
        for cells in rows:
            for au, cell in zip(columns, cells, strict=False):
                if au is not None and (verdict := verdicts.of_text(cell)) is not None:
                    yield Claim(au, verdict, explicit=True)
        return
    if finder(head[0]) or objects.au_of_key(head[0], bare=True):
        head, rows = [], table
    for cells in rows:
        yield from _of_row(cells, head, finder)


def _of_row(cells: list[str], head: list[str], finder: Finder) -> Iterator[Claim]:
    place, aus = _unit_of_row(cells, finder)
    if not aus:
        return
    polar = [verdicts.of_head(cell) for cell in head]
    sections = len({side for side in polar if side is not None}) == 2
    if sections and (place < len(polar) and polar[place] is not None):
        for side, cell in zip(polar, cells, strict=False):
            for mention in finder(cell):
                for au in mention.aus:
                    yield Claim(au, side is not False, explicit=True)
        return
    others = [
        (i, cell)
        for i, cell in enumerate(cells)
        if i != place and cell.strip(' -–—') and not (i < place and _counts(cell, polar[i:]))
    ]
    verdict = _verdict(others, head, polar, sections=sections)
    for au in aus:
        if verdict is None:
            denied = any(describes(au, cell) is False for _, cell in others)
            whole = finder(cells[place])
            for claim in listing.claims([cells[place]], finder) if whole else [Claim(au, True)]:
                yield Claim(claim.au, claim.present and not denied, claim.explicit)
        else:
            yield Claim(au, verdict, explicit=True)


def _counts(cell: str, polar: list[bool | None]) -> bool:
    """Whether a cell before the unit only numbers the row."""
    return cell.strip('.').isdigit() and not (polar and polar[0] is not None)


def _verdict(
    cells: list[tuple[int, str]], head: list[str], polar: list[bool | None], *, sections: bool
) -> bool | None:
    """What the cells of a row (with their columns) say of its unit."""
    said = [(i, verdicts.of_text(cell)) for i, cell in cells]
    said = [(i, verdict) for i, verdict in said if verdict is not None]
    if not said:
        return None
    marked = [i for i, _ in said if i < len(polar) and polar[i] is not None]
    if sections and len(said) == 1 and marked:  # Columns 'Yes' and 'No' with a cross in one.
        return polar[marked[0]]
    titled = [(head[i] if i < len(head) else '', verdict) for i, verdict in said]
    deciding = [
        verdict
        for (i, verdict), (title, _) in zip(said, titled, strict=True)
        if i in marked or _DECIDES.search(title)
    ]
    if deciding:
        return deciding[0]
    weighed = [(title, v) for title, v in titled if not _ASIDE.search(title)] or titled
    sides = [verdict for title, verdict in weighed if _SIDE.match(title)]
    return any(sides) if len(sides) > 1 else weighed[0][1]


def _unit_of_row(cells: list[str], finder: Finder) -> tuple[int, tuple[int, ...]]:
    """Which cell of a row names action units, and which: a code before a name, before a number."""
    first = enumerate(cells[:3])
    for place, cell in first:
        key = objects.au_of_key(cell)
        if key is not None and len(cell) < 60 and not mentions.of_codes(cell)[1:]:
            named = tables.KEY_NAMES.get(cell.strip().lower())
            number = objects.au_of_key(cells[0], bare=True) if named and place else None
            return (0, (number,)) if number == named and number is not None else (place, (key,))
        if found := finder(cell):
            return place, tuple(au for mention in found for au in mention.aus)
    number = objects.au_of_key(cells[0], bare=True)
    return 0, () if number is None else (number,)
