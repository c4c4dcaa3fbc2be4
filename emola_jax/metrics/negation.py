"""Which parts of an English sentence are denied: word-level negation and how far it reaches."""

from __future__ import annotations

import re

Span = tuple[int, int]
"""Start (included) and end (excluded), in characters of the text."""

_NEGATORS = re.compile(
    r'\b(?:no|not|never|none|neither|nor|nothing|without|cannot|lacks?|lacking|hardly|barely'
    r"|scarcely|absence of|rather than|instead of|free of|devoid of|unlike|\w+n['’]t)\b",
    re.IGNORECASE,
)
# These hold a negator and deny nothing that follows.
_AFFIRMING = re.compile(
    r'\b(?:not only|not just|not merely|no doubt|nothing but|cannot help but|not without)\b',
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    r'\b(?:(?:is|are|was|were|seems?|appears?|remains?)(?:\s+\w+ly)?\s+(?:absent|missing|lacking'
    r'|inactive|not\s+(?:\w+\s+)?(?:present|active|visible|activated|seen|shown|engaged|evident))'
    r"|(?:isn|aren)['’]t\s+(?:present|active|visible|activated|seen|shown|engaged|evident))\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r'[.!?]+(?=\s|$)|\n')
_SCOPE_END = re.compile(
    r'[;:)–—]|\b(?:but|however|yet|though|although|while|whereas|instead|because|since)\b',
    re.IGNORECASE,
)
_LIST_ITEM_START = re.compile(r'\s*(?:or|nor)\b', re.IGNORECASE)
_CLAUSE_WORDS = re.compile(
    r'\b(?:is|are|was|were|looks?|shows?|seems?|appears?|has|have|it|they|he|she|this|the|and)\b',
    re.IGNORECASE,
)
_LONGEST_LIST_ITEM = 3


def sentences(text: str) -> list[str]:
    """Splits at '.', '!' or '?' before a blank or the end, and at line breaks; empty parts go."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def denied_spans(sentence: str) -> list[Span]:
    """Parts of one sentence that it denies.

    A negator ('not', 'no', "isn't", 'without', …) denies what follows to the end of its clause; a
    list ('not happy, sad or angry') belongs to the clause. 'is absent', 'is not active' deny the
    clause before. 'Not only', 'no doubt' and the like deny nothing. A negator inside another word
    ('nose', 'notable') is none.
    """
    affirming = [found.span() for found in _AFFIRMING.finditer(sentence)]
    spans = []
    for found in _NEGATORS.finditer(sentence):
        if not _inside(found.start(), affirming):
            spans.append((found.start(), _scope_end(sentence, found.end())))
    for found in _DENIED_BEFORE.finditer(sentence):
        spans.append((_clause_start(sentence, found.start()), found.end()))
    return spans


def is_denied(position: int, spans: list[Span]) -> bool:
    """Whether the character at `position` lies in one of the denied parts."""
    return _inside(position, spans)


def _inside(position: int, spans: list[Span]) -> bool:
    return any(start <= position < end for start, end in spans)


def _scope_end(sentence: str, start: int) -> int:
    """End of the clause that begins at `start`, with the short items of a list after it."""
    found = _SCOPE_END.search(sentence, start)
    end = found.start() if found else len(sentence)
    comma = sentence.find(',', start, end)
    while comma >= 0:
        following = sentence.find(',', comma + 1, end)
        item = sentence[comma + 1 : following if following >= 0 else end]
        if not _continues_list(item):
            return comma
        comma = following
    return end


def _continues_list(item: str) -> bool:
    if _LIST_ITEM_START.match(item):
        return True
    return len(item.split()) <= _LONGEST_LIST_ITEM and not _CLAUSE_WORDS.search(item)


def _clause_start(sentence: str, end: int) -> int:
    starts = [found.end() for found in _SCOPE_END.finditer(sentence, 0, end)]
    return max([0, sentence.rfind(',', 0, end) + 1, *starts])
