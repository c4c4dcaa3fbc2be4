"""A description as statements: plain sentences, without mark-up, questions or kinds of blanks."""

from __future__ import annotations

import re

_BULLET = re.compile(r'(?:^|(?<=\s))(?:[*•●▪◦‣·]|#+)\s+')
# A dash between blanks starts an item only where an action unit follows: 'AU4 - Brow Lowerer'.
_DASH_BULLET = re.compile(
    r'(?:^|(?<=\s))[-–—]\s+(?=(?:\*\*|__|`|\[)*(?:no\s+|not\s+)?(?:AUs?[\s\d_#:-]|action\s+unit))',
    re.IGNORECASE,
)
_ENTRY = re.compile(
    r'(?:^|(?<=\s))(?P<number>\d{1,2})[.)]\s+(?=(?:\*\*|__|`)*(?:AUs?[\s\d_#:-]|action\s+unit))',
    re.IGNORECASE,
)
_MARK_UP = re.compile(r'\*+|`+|__+|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)')
_SPELLED = (
    (re.compile(r'(?<![A-Za-z])A\.\s?U\.(?=\s?\d)', re.IGNORECASE), 'AU'),
    (re.compile(r'\b(?:no\.|number|nr\.)\s?(?=\d)', re.IGNORECASE), ''),
)
_END = re.compile(r'(?P<mark>[.!?]+)(?=[\s"”’)\]]|$)|\n')
_QUESTION = re.compile(
    r'(?:is|are|was|were|do|does|did|can|could|would|what|which|who|how|why|where)\b', re.IGNORECASE
)


def statements(text: str) -> list[str]:
    """What `text` states, sentence by sentence.

    Sentences end at '.', '!' or '?' before a blank or the end, and at bullets. All white space is
    alike, so a text reads the same however it is broken into lines. Markdown goes; so do questions,
    which state nothing.
    """
    flat = ' '.join(text.split())
    for pattern, plain in _SPELLED:
        flat = pattern.sub(plain, flat)
    flat = _MARK_UP.sub('', _DASH_BULLET.sub('\n', _BULLET.sub('\n', _without_numbers(flat))))
    found, start = [], 0
    for end in _END.finditer(flat):
        asks = '?' in (end['mark'] or '')
        found.append((flat[start : end.start()].strip(), asks))
        start = end.end()
    found.append((flat[start:].strip(), False))
    return [part for part, asks in found if part and not (asks and _QUESTION.match(part))]


def _without_numbers(text: str) -> str:
    """Ends a statement where '1. AU4', '2. AU7', … number the entries of a list."""
    expected = 1

    def replace(entry: re.Match[str]) -> str:
        nonlocal expected
        if int(entry['number']) != expected:
            return entry[0]
        expected += 1
        return '\n'

    return _ENTRY.sub(replace, text)
