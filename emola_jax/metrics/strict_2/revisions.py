"""What an answer names and does not claim: the question's list, first thoughts, corrections.

Words and idioms are data (words.toml, `offered` and `revisions`).
"""

from __future__ import annotations

import bisect
import re

from emola_jax.metrics.strict_2 import negation, tables
from emola_jax.metrics.strict_2.mentions import Mention

_BETWEEN = re.compile(
    r'\W*(?:(?:the|these|those|following|listed|list|of|aus?|action|units?|facial|codes?|for|about'
    r'|each|all|whether|if|me|to|you|i|asked|are|were|in|question|only|any|given|possible'
    r'|candidates?|options?|\d{1,2})\W+){0,8}',
    re.I,
)
_PREDICATE = re.compile(
    r'\W*(?:is|are|was|were|seems?|appears?|looks?|can|could|may|might|have|has|do|does'
    r"|\w+n't|all|both|each|present|active|activated|visible|stand|show|which)\b",
    re.I,
)
_JOINT = re.compile(r'[\s,;/&+()]*(?:(?:and|or)\b\s*)?', re.I)
_BREAK = re.compile(r'\s*(?:[-–—,(]|\.{2,})\s*$')
_OPENING = re.compile(r'\W*(?:(?:so|now|okay|ok|well)\W+)?', re.I)
_ASIDE_ENDS = re.compile(r'[)\s]*(?:[,;:)\]–—-]|(?:I|we|only|just|none|one)\b)', re.I)
_NO_BUT = re.compile(r"\W*no,\s+(?:it(?:'s|\s+is)\s+|rather\s+)?", re.I)
_FEWEST = 2
_HEAD = re.compile(r'[A-Za-z][\w\s()]{0,40}:')
_REACH = 240
_AS_REPLACEMENT = re.compile(
    r"\W*(?:no\W+)?(?:(?:i\s+mean(?:t)?|make\s+(?:that|it)|it(?:'s|\s+is|\s+was)"
    r"|(?:it|this|that)\s+(?:should|must|has\s+to)\s+be|this\s+is|that(?:'s|\s+is)|rather)\W+)"
    r'(?:\w+\W+){0,3}$',
    re.I,
)
_ALONE = re.compile(r'\W*(?:\w+\W+){0,4}only\b|\W*just\b', re.I)
_TURN = re.compile(
    r'\b(?:but|yet|however|though|actually|in\s+fact|in\s+reality|in\s+truth|really)\b|;|\.\s'
    r'|,\s*(?:here|it|this|they|these|the|there|closer|on)\b|\s[–—-]\s',
    re.I,
)
_NOW = re.compile(
    r'\W*(?:but|yet|however|actually|in\s+fact|in\s+reality|on\s+(?:a\s+)?(?:closer|second)'
    r'|upon\s+closer|looking\s+closer|a\s+closer|correction|it|this|they|here)\b',
    re.I,
)


def is_offering(line: str) -> bool:
    """Whether a line is headed as what was asked: 'Candidates: AU1, AU2', 'Question: …'."""
    head = _HEAD.match(line)
    return head is not None and tables.OFFERING_HEADS.search(head[0]) is not None


def offered(statement: str, found: list[Mention]) -> set[int]:
    """Which of the mentions `found` only repeat what was asked: 'Of AU1, AU2, AU4 I see AU4'.

    Returns:
      Indexes into `found`.
    """
    places: set[int] = set()
    starts = [mention.start for mention in found]
    begins = _OPENING.match(statement)
    opening = tables.OFFERED_FIRST.match(statement, begins.end() if begins else 0)
    for phrase in [*([opening] if opening else []), *tables.OFFERED.finditer(statement)]:
        first = bisect.bisect_left(starts, phrase.end())
        if first == len(found) or first in places:
            continue
        if not _BETWEEN.fullmatch(statement, phrase.end(), found[first].start):
            continue
        last = first
        while last + 1 < len(found) and _JOINT.fullmatch(
            statement, found[last].end, found[last + 1].start
        ):
            last += 1
        units = sum(len(m.aus) for m in found[first : last + 1])
        end = found[last].end
        if units < _FEWEST or _PREDICATE.match(statement, end):
            continue
        if phrase is not opening or _ASIDE_ENDS.match(statement, end):
            places.update(range(first, last + 1))
    return places


def first_thoughts(statement: str, behind: str) -> list[negation.Span]:
    """Parts of a statement that only say what was thought at first, before the answer turned.

    Args:
      statement: plain.
      behind: statements that follow it and mention no action unit.
    """
    spans = []
    for thought in tables.FIRST_THOUGHTS.finditer(statement):
        start = _clause_start(statement, thought.start())
        turn = _TURN.search(statement, thought.end(), thought.end() + _REACH)
        if turn:
            spans.append((start, turn.start()))
        elif _NOW.match(behind):
            spans.append((start, len(statement)))
    return negation.merged(spans)


def _clause_start(statement: str, position: int) -> int:
    begin = max(0, position - _REACH)
    return max(begin, *(statement.rfind(mark, begin, position) + 1 for mark in ';:'))


def parted(statement: str) -> list[str]:
    """A statement in two where it is corrected: 'AU25, AU26 — correction: only AU25'."""
    for found in tables.RETRACTIONS.finditer(statement):
        if _BREAK.search(statement[max(0, found.start() - 8) : found.start()]):
            return [statement[: found.start()].rstrip(' -–—,('), statement[found.start() :]]
    return [statement]


def corrects(statement: str) -> bool:
    """Whether a statement corrects what was said before it."""
    return tables.RETRACTIONS.match(statement.lstrip(' "\'([')) is not None


def replaced(statement: str, first: Mention) -> int:
    """How many of the units before it a correction takes back: 0, 1 (the last) or all (-1)."""
    if _NO_BUT.fullmatch(statement[: first.start]) and not statement[first.end :].strip(' .!'):
        return 1  # 'AU6 … no, AU7.'
    found = tables.RETRACTIONS.match(statement.lstrip(' "\'(['))
    if not found:
        return 0
    between = statement[found.end() : first.start]
    if _ALONE.search(between) or re.match(r'\W*(?:only|alone)\b', statement[first.end :]):
        return -1
    return 1 if _AS_REPLACEMENT.match(between) or _AS_REPLACEMENT.match(found[0] + between) else 0
