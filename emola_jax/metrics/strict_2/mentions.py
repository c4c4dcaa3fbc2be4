"""Action units that a statement mentions: codes in any spelling, or FACS names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from emola_jax.facs import AU_NAMES
from emola_jax.metrics.strict_2 import tables

# One mention: 'AU12', 'AU 04', 'au_6', 'Action Units 1, 2 and 4', 'AU26/27', 'AU1+2+5', 'AU L14'.
_GAP = r'(?:[ _#:.\-]|\((?:AUs?)?\)?){0,6}'
# 'The AUs that are present in this face are 4 and 7.'
_THOSE = (
    r'(?: (?:that|which|present|active|activated|visible|involved|engaged|shown|displayed|observed'
    r'|detected|seen|conveyed|by|in|this|the|image|face|person|are|were|include|being|here'
    r'|found|identified|to|check|assess|for|listed|asked|about|considered|possible|confirmed|scored|coded'
    r'|not|inactive|absent|missing|off|on|undetected'
    r'|following'
    r'|as|follows)){1,12}'
)
_AND = r'(?: ?,(?: ?and| ?or| ?&)?| and/or| and| or| &| \+)'
# What stands in brackets is passed over only where the list goes on behind it.
_ASIDE = rf'(?:[A-E](?![A-Za-z]))?(?: ?\([^()\d]{{0,60}}\)(?={_AND} ?\d))?'
_CODE = re.compile(
    rf'(?<![A-Za-z])(?P<word>AUs?(?:\x27s)?|action[ _-]?units?)(?:(?<=s){_THOSE}:?)?{_GAP}'
    r'(?:(?<![A-Za-z])|(?<=AU))[LRTB]?'
    rf'(?P<numbers>\d{{1,3}}(?!\d)(?: ?[/+&] ?(?:AU ?)?\d{{1,3}}(?![\d.])'
    r'|(?:[-–](?:AU ?)?|(?: [-–] | through )AU ?)\d{1,3}(?![\d.%]))*)(?:_[rc](?![a-z]))?'
    rf'{_ASIDE}'
    # Items of a list are no numbers of a numbered listing ('AU4, 2. AU9'), count nothing, and are
    # no values ('AU4, 0.7').
    rf'(?P<list>(?:{_AND} ?(?!\d+[.)] ?(?:AU|action))'
    rf'(?!\d+ ?%)(?!\d+[./]\d)\d{{1,3}}(?!\d){_ASIDE})*)',
    re.IGNORECASE,
)
_PLURAL = re.compile(r'AUs|units', re.IGNORECASE)
_RANGE = re.compile(r'(\d+)(?:[-–](?:AU ?)?|(?: [-–] | through )AU ?)(\d+)', re.IGNORECASE)
_WIDEST = 6
_NUMBER = re.compile(r'\d+')
# What follows the last number of 'AU12 and 3 others': it counts something, and is no unit.
_COUNTING = re.compile(
    r'\s+(?:more\b|others?\b|further\b|additional\b|different\b|out\s+of\b|of\s+(?:the|them|these|those|\d)|'
    r'(?!(?:is|was|does|has|as|this|plus|thus|always|perhaps|AUs|'
    r'(?:appear|seem|suggest|indicate|show|express|reflect|convey|contribute|point|combine|work|join|act|fire'
    r'|remain|stay|look|give|make|mean|produce|create|help|form|raise|lower|pull|lift)s)\b)'
    r'(?:\w{1,20}\s)?[a-z]{2,20}s\b(?!\s+(?:is|are)\b))',
    re.IGNORECASE,
)
_NAME = re.compile(
    r'(?<![A-Za-z])(?:'
    + '|'.join(sorted(tables.AU_OF_NAME, key=len, reverse=True))
    + r')(?![A-Za-z])',
    re.IGNORECASE,
)
_NAME_ASIDE = re.compile(
    r'\s*(?:[-–—:]\s*|\(\s*)?(?<![A-Za-z])(?:'
    + '|'.join(sorted(tables.KEY_NAMES, key=len, reverse=True))
    + r')(?![A-Za-z])(?!\s*\?)(?:\s*\))?',
    re.IGNORECASE,
)
_NUMBER_ASIDE = re.compile(
    r'(?P<name>(?<![A-Za-z])(?:'
    + '|'.join(sorted(tables.AU_OF_NAME, key=len, reverse=True))
    + r'))\s?\(#?\d{1,2}\)',
    re.IGNORECASE,
)
_CODE_ASIDE = re.compile(r'\(\s*(AUs?[\s_#-]?\d{1,3})\s*\)', re.IGNORECASE)


@dataclass(frozen=True)
class Mention:
    """Action units that stand in one place: numbers, and where the place starts and ends.

    Attributes:
      aus: FACS numbers, in the order of the text; numbers that FACS lacks are left out.
      start, end: place in the statement, in characters.
    """

    aus: tuple[int, ...]
    start: int
    end: int


Finder = Callable[[str], list[Mention]]
"""Mentions of a statement: `of_codes` or `of_names`."""


def is_word(cell: str) -> bool:
    """Whether a cell holds the words 'AU' or 'action unit' and nothing else."""
    return (
        re.fullmatch(r'\W*(?:AUs?|(?:facial\s+)?action\s+units?)\W*', cell, re.IGNORECASE)
        is not None
    )


def has_code(text: str) -> bool:
    """Whether `text` writes some action unit as a code."""
    return _CODE.search(text) is not None


def without_names(statement: str) -> str:
    """`statement` with FACS names beside codes left out: 'AU4 (Brow Lowerer)' is 'AU4'.

    A code says which unit is meant, whatever name stands next to it.
    """
    return _NAME_ASIDE.sub('', _CODE_ASIDE.sub(r' \1', statement))


def without_numbers(statement: str) -> str:
    """`statement` with numbers in brackets beside FACS names left out: 'Dimpler (14): yes'."""
    return _NUMBER_ASIDE.sub(r'\g<name>', statement)


def of_codes(statement: str) -> list[Mention]:
    """Codes of a statement."""
    return [Mention(_numbers(m), m.start(), m.end()) for m in _CODE.finditer(statement)]


def of_names(statement: str) -> list[Mention]:
    """FACS names of a statement."""
    return [
        Mention((tables.AU_OF_NAME[m[0].lower()],), m.start(), m.end())
        for m in _NAME.finditer(statement)
    ]


def _numbers(mention: re.Match[str]) -> tuple[int, ...]:
    """Numbers of one mention; what only counts something ('AU12 and 3 others') is none of them."""
    found = [int(number) for number in _NUMBER.findall(mention['numbers'])]
    for first, last in _RANGE.findall(mention['numbers']):
        if int(last) - int(first) <= _WIDEST:
            found += range(int(first), int(last))
    items = [int(number) for number in _NUMBER.findall(mention['list'])]
    behind = mention.string[mention.end() : mention.end() + 40]
    if items and not _PLURAL.search(mention['word']) and _COUNTING.match(behind):
        items.pop()
    return tuple(au for au in [*found, *items] if au in AU_NAMES)
