"""Version 2 of the strict reading of action units: structure first, then sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

from emola_jax.facs import AU_NAMES
from emola_jax.metrics.strict_2 import (
    layout,
    listing,
    mentions,
    objects,
    structured,
    texts,
    verdicts,
)
from emola_jax.metrics.strict_2.claims import Claim, settled
from emola_jax.metrics.strict_2.entries import describes
from emola_jax.metrics.strict_2.mentions import Finder

_FINAL = re.compile(
    r'(?:^|\n)[ \t*_#]{0,9}(?:final\s+)?(?:answer|list'
    r'|result)\b[\s*_]{0,4}(?:is\b)?\s?:[\s*_]{0,9}(?=\S)|\bfinal answer\b[^\n:]{0,30}(?::|\bis\b)',
    re.I,
)
_UNIT = r'(?:action\s+units?|AUs?)'
_NONE = re.compile(
    r'\b(?:no|not\s+a\s+single|none\s+of(?:\s+the(?:se|m)?)?|without(?:\s+any)?|zero'
    r'|lack\s+of(?:\s+any)?|absence\s+of(?:\s+any)?)\s+'
    rf'(?:\w+\s+){{0,5}}{_UNIT}\b'
    rf"|(?:\bnot\b|n't\b|\bcannot\b|\bnever\b)\s+(?:\w+\s+){{0,4}}any\s+(?:\w+\s+){{0,3}}{_UNIT}\b"
    rf'|\b{_UNIT}(?:\W{{1,3}}\w+){{0,5}}\W{{0,2}}\s?[:=-]\s*(?:none|no|nil|n/a|\[\s*\]|0)\b'
    rf'|\b(?:all|every)\s+(?:\w+\s+){{0,3}}{_UNIT}\s*(?:(?:is|are|seem'
    rf'|remain)\s+(?:\w+\s+)?|[:=]\s*)(?:inactive|absent|at\s+rest|off|not\b)'
    rf'|\b{_UNIT}\s+(?:is|are|were)\s+(?:not\s+(?:\w+\s+){{0,2}}(?:present|active|activated'
    rf'|visible|detected|observed)|inactive|absent)\b'
    r'|\b(?:present|active|activated|detected|observed|visible)\s*:\s*(?:none|nil)\b'
    r'|\bnothing\s+(?:is|was|seems|appears)\s+(?:activated|active|present|visible|detected'
    r'|engaged)\b'
    r'|(?:没有|未|无)\w{0,8}(?:动作单元|AU|活动)'
    r'|\bno\s+(?:\w+\s+){0,2}(?:facial\s+(?:muscle\s+)?|muscle\s+)(?:movements?'
    r'|activations?|activity)\b',
    re.I,
)
_NOTHING = re.compile(
    r'\W*(?:there\s+(?:are|is)\s+)?(?:none|nothing|no|nil|zero)(?:\s+(?:of\s+(?:them|these'
    r'|those)|detected|present|active|visible|at\s+all|found|observed)){0,2}\W*',
    re.I,
)
_UNABLE = re.compile(
    r"\b(?:can(?:not|\s+not|'?t)|could\s*n[o']t|unable|not\s+able|impossible|difficult|hard"
    r'|not\s+possible|can\s+be|could\s+be)\b'
    r'(?:\s+\w+){0,4}?\s+(?:determined?|identify|identified|identifying|analy[sz]ed?'
    r'|assess(?:ed)?|tell|help|assist|provide|recogni[sz]ed?|inferr?e?d?'
    r'|evaluated?|process|say|judged?|comment|describe|estimated?|classif(?:y|ied)|view'
    r'|confirm|know|make\s+out|name|list|read|see\s+(?:the|a|any)\s+(?:face|image|picture'
    r'|photo|person))\b'
    r'|\bto\s+determine\b|\bnot\s+sure\b|无法|不能|抱歉|\bplease\s+(?:provide|upload|share)\b',
    re.I,
)
_BARE = re.compile(
    r'\s*[\[({]?\s*(?:(?:answer|active|present|aus?|units?|numbers?|codes?|detected|facs'
    r'|facial|action)\W{1,3}){0,3}(?P<list>\d{1,2}(?:\s*(?:[,;/+&|\s]'
    r'|\band\b)\s*\d{1,2}){0,40})\s*[\])}]?[.\s]*',
    re.I,
)
_HEADED_NUMBERS = re.compile(
    r'[\s*_#-]*(?P<head>[A-Za-z][A-Za-z ]{1,40}?)[\s*_]*[:=][\s*_\[(]*'
    r'(?P<list>\d{1,2}(?:\s*(?:[,/+&\s]|\band\b)\s*\d{1,2}){0,40})[\s\])*.]*'
)
_BARE_ENTRY = re.compile(r'\s*(?P<au>\d{1,2})\s*(?:[:=]|\s-|[–—])\s*(?P<value>[^:=\n]{1,40})', re.I)


def read(answer: str) -> frozenset[int] | None:
    """FACS numbers that an answer affirms; None if it says nothing about action units."""
    text = texts.plain(texts.answered(answer))
    final = list(_FINAL.finditer(text))
    if final and (claims := _of_text(text[final[-1].end() :])) is not None:
        return settled(claims)
    claims = _of_text(text)
    return None if claims is None else settled(claims)


def _of_text(text: str) -> list[Claim] | None:
    """All claims of a plain text; None if it says nothing about action units."""
    values, _ = structured.find(text)
    found = [objects.claims(value, _of_prose) for value in values]
    told = [claim for claims in found for claim in claims or []]
    if told or any(claims is not None for claims in found):
        return told
    return _of_prose(text)


def _of_prose(text: str) -> list[Claim] | None:
    if (bare := _bare_numbers(text)) is not None:
        return bare
    coded = mentions.has_code(' '.join(text.split()))
    finder = mentions.of_codes if coded else mentions.of_names
    tables, rows = layout.tables(text.split('\n'))
    claims = [claim for table in tables for claim in _of_table(table, finder)]
    lines = listing.merged(texts.lines('\n'.join(rows)), finder)
    claims += listing.claims(lines, finder)
    if claims:
        return claims if any(claim.known for claim in claims) else None
    if any(finder(line) for line in lines):
        return []  # Numbers that FACS lacks.
    return [] if _says_none(lines) else None


def _says_none(lines: list[str]) -> bool:
    """Whether lines without any action unit say that none is active."""
    if _NOTHING.fullmatch(' '.join(lines)):
        return True
    return any(
        _NONE.search(statement) and not _UNABLE.search(statement)
        for line in lines
        for statement in texts.statements(line)
    )


def _bare_numbers(text: str) -> list[Claim] | None:
    """Of an answer that is numbers and nothing else: '4, 9', or '4: yes' line by line."""
    whole = _BARE.fullmatch(text) if len(text) < 400 else None
    if whole:
        numbers = [int(number) for number in re.findall(r'\d+', whole['list'])]
        if all(number in AU_NAMES for number in numbers):
            return [Claim(number, True, explicit=True) for number in numbers]
    if headed := _headed_numbers(text):
        return headed
    entries = [part for part in re.split(r'[\n,;]', text) if part.strip()]
    found = [_BARE_ENTRY.fullmatch(part) for part in entries]
    if not found or not all(found):
        return None
    claims = []
    for entry in found:
        verdict = verdicts.of_text(entry['value']) if entry else None
        if entry is None or verdict is None or int(entry['au']) not in AU_NAMES:
            return None
        claims.append(Claim(int(entry['au']), verdict, explicit=True))
    return claims


def _headed_numbers(text: str) -> list[Claim]:
    """'Present: 4, 7', 'Absent: 6' line by line; [] of any other text."""
    found: list[Claim] = []
    for part in re.split(r'[\n;]', text):
        entry = _HEADED_NUMBERS.fullmatch(part)
        side = verdicts.of_head(entry['head']) if entry else None
        if entry and side is not None:
            numbers = [int(number) for number in re.findall(r'\d+', entry['list'])]
            found += [Claim(au, side, explicit=True) for au in numbers if au in AU_NAMES]
        elif part.strip():
            return []
    return found


def _of_table(table: layout.Table, finder: Finder) -> Iterator[Claim]:
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
    polar = [verdicts.of_head(cell) for cell in head]
    sections = len({side for side in polar if side is not None}) == 2
    for cells in rows:
        yield from _of_row(cells, polar, finder, sections=sections)


def _of_row(
    cells: list[str], polar: list[bool | None], finder: Finder, *, sections: bool
) -> Iterator[Claim]:
    place, aus = _unit_of_row(cells, finder)
    if not aus:
        return
    others = [(i, cell) for i, cell in enumerate(cells) if i != place and cell.strip(' -–—')]
    if sections and (place < len(polar) and polar[place] is not None):
        for side, cell in zip(polar, cells, strict=False):
            for mention in finder(cell):
                for au in mention.aus:
                    yield Claim(au, side is not False, explicit=True)
        return
    said = [(i, verdicts.of_text(cell)) for i, cell in others]
    said = [(i, verdict) for i, verdict in said if verdict is not None]
    marked = [i for i, _ in said if i < len(polar) and polar[i] is not None]
    verdict: bool | None = None
    if sections and len(said) == 1 and marked:  # Columns 'Yes' and 'No' with a cross in one.
        verdict = polar[marked[0]]
    elif said:
        verdict = next((v for i, v in said if i in marked), said[0][1])
    for au in aus:
        if verdict is None:
            denied = any(describes(au, cell) is False for _, cell in others)
            whole = finder(cells[place])
            for claim in listing.claims([cells[place]], finder) if whole else [Claim(au, True)]:
                yield Claim(claim.au, claim.present and not denied, claim.explicit)
        else:
            yield Claim(au, verdict, explicit=True)


def _unit_of_row(cells: list[str], finder: Finder) -> tuple[int, tuple[int, ...]]:
    """Which cell of a row names action units, and which."""
    for place, cell in enumerate(cells[:3]):
        key = objects.au_of_key(cell, bare=place == 0)
        if key is not None and len(cell) < 60 and not mentions.of_codes(cell)[1:]:
            return place, (key,)
        if found := finder(cell):
            return place, tuple(au for mention in found for au in mention.aus)
    return 0, ()
