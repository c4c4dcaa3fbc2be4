"""Version 1 of the strict reading of action units: codes in statements, and what denies them."""

from __future__ import annotations

import re

from emola_jax.facs import AU_NAMES
from emola_jax.metrics.strict_1 import negation, prose

# One mention: 'AU12', 'AU 04', 'au_6', 'Action Units 1, 2 and 4', 'AU26/27', 'AU1+2+5', 'AU L14'.
_GAP = r'(?:[ _#:.-]|\((?:AUs?)?\)?)*'
# 'The AUs that are present in this face are 4 and 7.'
_THOSE = (
    r'(?: (?:that|which|present|active|activated|visible|involved|engaged|shown|displayed|observed'
    r'|detected|seen|conveyed|by|in|this|the|image|face|person|are|were|include|being|here|following'
    r'|as|follows))+'
)
_ASIDE = r'(?:[A-E]\b)?(?: \([^()\d]*\))?'
_MENTION = re.compile(
    rf'(?<![^\W\d_])(?P<word>AUs?|action[ -]units?)(?:(?<=s){_THOSE}:?)?{_GAP}'
    r'(?:(?<![A-Za-z])|(?<=AU))[LRTB]?'
    rf'(?P<numbers>\d+(?: ?[/+&] ?(?:AU ?)?\d+|[-–]\d+)*){_ASIDE}'
    # Items of a list are no numbers of a numbered listing ('AU4, 2. AU9') and count nothing.
    rf'(?P<list>(?:(?: ?,| and| or| &|, and) ?(?!\d+[.)] ?(?:AU|action))(?!\d+ ?%)\d+{_ASIDE})*)',
    re.IGNORECASE,
)
_PLURAL = re.compile(r'AUs|units', re.IGNORECASE)
_ITEM = re.compile(r'\d+')
# What may follow the last number of 'AU 1, 2 and 5 …': anything but the thing that it counts.
_NOT_COUNTING = re.compile(
    r'\s*(?:$|[^\w\s]|(?:is|are|was|were|and|or|with|which|that|both|together|being|in|at|as|to'
    r'|indicat\w+|suggest\w*|show\w*|appear\w*|seem\w*|activ\w+|present|absent|visible|engaged'
    r'|may|might|can|could|will|would|must|should|do|does|did|have|has|all|each|combine\w*|work\w*'
    r'|express\w*|reflect\w*|convey\w*|contribut\w*|point\w*|AU\w*)\b)',
    re.IGNORECASE,
)
_NUMBER = re.compile(r'\d+')
_NONE_ACTIVE = re.compile(
    r'\b(?:no|none of(?: the| these)?|without(?: any)?)\s+(?:\w+\s+){0,2}(?:action\s+units?|AUs?)\b'
    r'|\b(?:action\s+units?|AUs?)\s*[:=-]\s*(?:none|no|nil|n/a)\b',
    re.IGNORECASE,
)
# Everyday words are no sign that a text speaks FACS.
_EVERYDAY = ('Slit', 'Squint', 'Blink', 'Wink')
_AU_OF_NAME = {name.lower(): au for au, name in AU_NAMES.items() if name not in _EVERYDAY}
_NAME = re.compile(r'\b(?:' + '|'.join(_AU_OF_NAME) + r')s?\b', re.IGNORECASE)


def strict_aus(text: str) -> frozenset[int]:
    """FACS numbers that `text` affirms, however they are written; denied ones are left out.

    A code says which unit is meant, whatever name stands beside it. Only a text without any code is
    read by the FACS names in it ('the lip corner puller').
    """
    found: set[int] = set()
    statements = prose.statements(text)
    has_code = any(_MENTION.search(statement) for statement in statements)
    for statement in statements:
        spans = negation.denied_spans(statement)
        for mention in (_MENTION if has_code else _NAME).finditer(statement):
            if not negation.is_denied(mention.start(), spans):
                found.update(_numbers(mention) if has_code else {_named(mention)})
    return frozenset(found & AU_NAMES.keys())


def is_unparsed(text: str) -> bool:
    """Whether `text` neither mentions an action unit nor says that none is active."""
    return not any(
        pattern.search(statement)
        for statement in prose.statements(text)
        for pattern in (_MENTION, _NAME, _NONE_ACTIVE)
    )


def _numbers(mention: re.Match[str]) -> set[int]:
    """Numbers of one mention; what only counts something ('AU12 and 3 others') is none of them."""
    numbers = {int(number) for number in _NUMBER.findall(mention['numbers'])}
    items = list(_ITEM.finditer(mention['list']))
    behind = mention.string[mention.end() :]
    if items and not _PLURAL.search(mention['word']) and not _NOT_COUNTING.match(behind):
        items.pop()
    return numbers | {int(item[0]) for item in items}


def _named(mention: re.Match[str]) -> int:
    name = mention[0].lower()
    return _AU_OF_NAME[name if name in _AU_OF_NAME else name.removesuffix('s')]
