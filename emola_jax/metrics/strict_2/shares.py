"""Shares that an answer gives to emotions: percentages, scores, yes and no, check marks, grades."""

from __future__ import annotations

import re
from typing import Any

from emola_jax.metrics.strict_2 import layout, tables, verdicts

_WORD = re.compile(r'[^\W\d_]+')
_NUMBER_FIRST = re.compile(r'(?P<share>\d{1,3}(?:\.\d{1,4})?\s?%)\s+(?:\w+\s+)?(?P<word>[A-Za-z]+)')
_WORD_FIRST = re.compile(
    r'(?<![A-Za-z])(?P<word>[A-Za-z]+)["\']?\s*(?:\([^()\d]{0,30}\)\s*)?'
    r'(?:[:=(|–—>-]|\bis\b|\bat\b|\s){1,4}\s*["\']?'
    r'(?P<share>\d{1,3}(?:\.\d{1,6})?\s?(?:%|/\s?\d{1,3}|out of \d{1,3})?(?![\d.]\d)'
    r'(?!(?<=\s\d)[.)]\s+[A-Za-z])'
    r'|[✓✗]|(?:(?<=[:=(|>-])|(?<=[:=(|>-]\s))(?:yes|no|true|false|present|absent|none|high|low|medium|moderate|strong|weak'
    r'|minimal|slight|mild|some)\b(?![ \t]+[a-z]))',
    re.I,
)
_MARK_FIRST = re.compile(r'(?P<share>[✓✗])\s*(?P<word>[A-Za-z]+)')
_PREFIX = re.compile(r'^(?:is|has|looks?|emotion|label|p|prob|score)[_ ]')
_KEY = re.compile(
    r'emotions?|scores?|probabilit\w+|confidences?|distribution|predictions?|results?|values?|output|expressions?',
    re.I,
)
_ANSWER = re.compile(
    r'(?:final_?|predicted_?|primary_?|dominant_?|main_?|top_?|detected_?|facial_?|overall_?)?'
    r'(?:emotions?|labels?|answer|prediction|class|category|expression|dominant|primary|predicted|result|output|mood|sentiment'
    r'|classification|verdict|conclusion|response|name|main|top|final)',
    re.I,
)
_SCORE = re.compile(r'score|prob\w*|confidence|value|percent\w*|likelihood|weight|intensity', re.I)


def label_of(word: str) -> int | None:
    """The emotion that a word names outright, as a key would ('Happy', 'fear')."""
    found = tables.EMOTION_WORDS.get(_PREFIX.sub('', word.strip().lower()))
    return found[0] if found and found[1] == 2 else None


def in_text(text: str) -> int | None:
    """The emotion with the largest share where `text` gives shares to two emotions or more."""
    patterns = [_NUMBER_FIRST, _WORD_FIRST]
    marks = re.match(r'\s*[✓✗]', text)
    if marks:
        patterns = [_MARK_FIRST]
    best: list[tuple[int, float]] = []
    for pattern in patterns:
        found = _first_of_each(
            (label, share)
            for m in pattern.finditer(text)
            if (label := label_of(m['word'])) is not None
            and (share := verdicts.share(m['share'])) is not None
        )
        if len(found) > len(best):
            best = found
    return largest(best) if len(best) > 1 else None


def in_table(table: layout.Table) -> int | None:
    """The emotion with the largest share in a table: emotions as rows, or as columns."""
    head = [label_of(cell) for cell in table[0]]
    found: list[tuple[int, float]] = []
    if sum(label is not None for label in head) > 1:
        for label, cell in zip(head, table[1] if len(table) > 1 else [], strict=False):
            if label is not None and (share := verdicts.share(cell)) is not None:
                found.append((label, share))
    else:
        for cells in table:
            label = next((at for at in map(label_of, cells) if at is not None), None)
            given = [share for cell in cells if (share := verdicts.share(cell)) is not None]
            if label is not None and given:
                found.append((label, given[-1]))
    return largest(found) if len({label for label, _ in found}) > 1 else None


def in_object(value: Any, read: Any) -> int | None:
    """The emotion that an object or list of JSON names.

    Args:
      value: of JSON.
      read: reads the emotion of a text.
    """
    if isinstance(value, str):
        return read(value)
    if isinstance(value, list):
        return _in_list(value, read)
    if not isinstance(value, dict):
        return None
    keyed = [(label_of(str(key)), item) for key, item in value.items()]
    given = [(label, _given(item)) for label, item in keyed if label is not None]
    shares = [(label, share) for label, share in given if share is not None]
    if len(shares) > 1 or (shares and shares[0][1] > 0):
        return largest(shares)
    for wanted in (_ANSWER, _KEY):
        for key, item in value.items():
            if (
                wanted.fullmatch(str(key).replace(' ', '_'))
                and (label := in_object(item, read)) is not None
            ):
                return label
    for item in value.values():
        if isinstance(item, dict | list) and (label := in_object(item, read)) is not None:
            return label
    return None


def _in_list(items: list[Any], read: Any) -> int | None:
    records = [
        (label, share)
        for item in items
        if isinstance(item, dict)
        and (label := in_object(item, read)) is not None
        and (share := _score_of(item)) is not None
    ]
    if records:
        return largest(records)
    pairs = [
        (label, share)
        for item in items
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)
        and (label := label_of(item[0])) is not None and (share := _given(item[1])) is not None
    ]  # fmt: skip
    if pairs:
        return largest(pairs)
    return next((label for item in items if (label := in_object(item, read)) is not None), None)


def _score_of(record: dict[Any, Any]) -> float | None:
    for key, item in record.items():
        if _SCORE.fullmatch(str(key)) and (share := _given(item)) is not None:
            return share
    return None


def _given(item: Any) -> float | None:
    if isinstance(item, dict):
        return _score_of(item)
    if isinstance(item, str):
        return verdicts.share(item)
    return float(item) if isinstance(item, int | float) else None


def largest(shares: list[tuple[int, float]]) -> int | None:
    """The label with the largest share, the first of equals; None where nobody has any."""
    label, share = max(shares, key=lambda pair: pair[1])
    return label if share > 0 else None


def _first_of_each(pairs: Any) -> list[tuple[int, float]]:
    found: dict[int, float] = {}
    for label, share in pairs:
        found.setdefault(label, share)
    return list(found.items())
