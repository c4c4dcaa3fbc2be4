"""Answers that write action units as numbers and nothing else: '4, 9', 'Present: 4 | Absent: 6'."""

from __future__ import annotations

import re

from emola_jax.facs import AU_NAMES
from emola_jax.metrics.strict_2 import verdicts
from emola_jax.metrics.strict_2.claims import Claim

_UNIT = r'[LRTB]?\d{1,2}(?!\d)[A-E]?(?![A-Za-z])'
_LIST = rf'{_UNIT}(?:\s*(?:[,;/+&|\s]|\band\b)\s*{_UNIT}){{0,40}}'
_WHOLE = re.compile(
    r'\s*[\[({]?\s*(?:(?:answer|active|activated|present|aus?|units?|numbers?|codes?|coded|coding|detected|facs'
    r'|facial|action|the|is|are|as|face|this|i|d|would|code|score|see|combination)\W{1,3}){0,7}'
    rf'(?P<list>{_LIST})\s*[\])}}]?[.\s]*',
    re.I,
)
_HEADED = re.compile(
    r'[\s*_#;|/.,-]*(?P<head>[A-Za-z][A-Za-z ]{1,40}?)[\s*_]*[:=][\s*_\[(]*'
    r'(?P<list>\d{1,2}(?!\d)(?:\s*(?:[,/+&\s]|\band\b)\s*\d{1,2}(?!\d)){0,40}|none|nothing|-)[\s\])*.]*'
)
_ENTRY = re.compile(r'\s*(?P<au>\d{1,2})\s*(?:[:=]|\s-|[–—])\s*(?P<value>[^:=\n]{1,40})', re.I)
_LONGEST = 400


def claims(text: str) -> list[Claim] | None:
    """Claims of a text that is numbers and their heads or values; None of any other text."""
    whole = _WHOLE.fullmatch(text) if len(text) < _LONGEST else None
    if whole:
        numbers = _numbers(whole['list'])
        if all(number in AU_NAMES for number in numbers):
            return [Claim(number, True, explicit=True) for number in numbers]
    return _of_heads(text) or _of_entries(text)


def _numbers(listed: str) -> list[int]:
    return [int(number) for number in re.findall(r'\d+', listed)]


def _of_heads(text: str) -> list[Claim]:
    """'Present: 4, 7', 'Absent: 6' in lines or in one line; [] of any other text."""
    found: list[Claim] = []
    end = 0
    while text[end:].strip():
        entry = _HEADED.match(text, end)
        side = verdicts.of_head(entry['head']) if entry else None
        if entry is None or side is None:
            return []
        found += [
            Claim(au, side, explicit=True) for au in _numbers(entry['list']) if au in AU_NAMES
        ]
        end = entry.end()
    return found


def _of_entries(text: str) -> list[Claim] | None:
    """'4: yes', '9: no' in lines or in one line."""
    found = [_ENTRY.fullmatch(part) for part in re.split(r'[\n,;]', text) if part.strip()]
    claims = []
    for entry in found:
        verdict = verdicts.of_text(entry['value']) if entry else None
        if entry is None or verdict is None or int(entry['au']) not in AU_NAMES:
            return None
        claims.append(Claim(int(entry['au']), verdict, explicit=True))
    return claims or None
