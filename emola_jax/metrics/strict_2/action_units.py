"""Version 2 of the strict reading of action units: structure first, then sentences."""

from __future__ import annotations

import re

from emola_jax.metrics.strict_2 import (
    layout,
    listing,
    mentions,
    numerals,
    objects,
    structured,
    texts,
    unit_tables,
)
from emola_jax.metrics.strict_2.claims import Claim, settled

_FINAL = re.compile(
    r'(?:^|\n)[ \t*_#]{0,9}(?:final\s+)?(?:answer|list'
    r'|result)\b[\s*_]{0,4}(?:is\b)?\s?:[\s*_]{0,9}(?=\S)|\bfinal answer\b[^\n:]{0,30}(?::|\bis\b)',
    re.I,
)
_UNIT = r'(?:action\s+units?|AUs?)'
_NONE = re.compile(
    r'\b(?:no|not\s+a\s+single|none\s+of(?:\s+the(?:se|m)?)?|without(?:\s+any)?|zero|0'
    r'|lack\s+of(?:\s+any)?|absence\s+of(?:\s+any)?)\s+'
    rf'(?:\w+\s+){{0,5}}{_UNIT}\b'
    rf"|(?:\bnot\b|n't\b|\bcannot\b|\bnever\b)\s+(?:\w+\s+){{0,4}}any\s+(?:\w+\s+){{0,3}}{_UNIT}\b"
    rf'|\b{_UNIT}(?:\W{{1,3}}\w+){{0,5}}\W{{0,2}}\s?[:=-]\s*(?:none|no|nil|n/a|\[\s*\]|0)\b'
    rf'|\b(?:all|every)\s+(?:\w+\s+){{0,3}}{_UNIT}\s*(?:(?:is|are|seem'
    rf'|remain)\s+(?:\w+\s+)?|[:=]\s*)(?:inactive|absent|at\s+(?:rest|zero)|zero|off|relaxed|neutral|not\b)'
    rf'|\b{_UNIT}\s+(?:is|are|were)\s+(?:not\s+(?:\w+\s+){{0,2}}(?:present|active|activated'
    rf'|visible|detected|observed)|inactive|absent)\b'
    r'|\b(?:present|active|activated|detected|observed|visible)\s*:\s*(?:none|nil)\b'
    r'|\bnone\s+(?:of\s+(?:them|these|those|the\s+above)\s+)?(?:is|are|was|were|seems?|appears?)\b'
    r'|\bnone\s+of\s+(?:the\s+|these\s+|those\s+)?(?:\w+\s+)?units\b'
    rf'|\bneither\b[^.\n]{{0,60}}\bany\b[^.\n]{{0,20}}\b{_UNIT}\b'
    r'|\blist\b[^.\n]{0,40}\bis\s+empty\b|\bempty\s+list\b'
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
    r'|confirm|know|name|list|read|see\s+(?:the|a|any)\s+(?:face|image|picture'
    r'|photo|person))\b'
    r'|\bto\s+determine\b|\bnot\s+sure\b|无法|不能|抱歉|\bplease\s+(?:provide|upload|share)\b',
    re.I,
)


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
    if (bare := numerals.claims(text)) is not None:
        return bare
    coded = mentions.has_code(' '.join(text.split()))
    finder = mentions.of_codes if coded else mentions.of_names
    tables, rows = layout.tables(text.split('\n'))
    claims = [claim for table in tables for claim in unit_tables.claims(table, finder)]
    lines = listing.merged(texts.lines('\n'.join(rows)), finder)
    claims += listing.claims(lines, finder)
    if claims:
        return claims if any(claim.known for claim in claims) else None
    if any(finder(line) for line in lines):
        return []  # Numbers that FACS lacks.
    if (listed := numerals.claims(' '.join(lines))) is not None:
        return listed  # 'aus:', '- 4', '- 9'
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
