"""Objects and lists of JSON or Python that stand in an answer, bare, fenced or amid prose."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

_OPENING, _CLOSING = '{[', '}]'
_LONGEST = 20_000
"""Characters of one object; a longer one is read as text."""
_DEEPEST = 40
_BEGINS = re.compile(r'[{\[]\s*[{\["]')
_REPAIRS = (
    (re.compile(r'(?m)(?<![:"\'/])//[^\n]*$'), ''),
    (re.compile(r',(?=\s*[}\]])'), ''),
    (re.compile(r'(?<=[{,])(\s*)([A-Za-z_]\w*)(?=\s*:)'), r'\1"\2"'),
    (re.compile(r'\bTrue\b'), 'true'),
    (re.compile(r'\bFalse\b'), 'false'),
    (re.compile(r'\b(?:None|NaN|nan)\b'), 'null'),
)


def find(text: str) -> tuple[list[Any], str]:
    """The objects and lists of `text`, outermost ones, and the text without them."""
    found: list[Any] = []
    rest: list[str] = []
    end = 0
    text = _closed(text)
    for start, stop in _balanced(text):
        value = _parsed(text[start:stop])
        if isinstance(value, dict | list):
            found.append(value)
            rest.append(text[end:start])
            end = stop
    return found, ''.join([*rest, text[end:]])


def _balanced(text: str) -> list[tuple[int, int]]:
    """Outermost spans in balanced brackets. One that is never closed is none, and hides none."""
    spans: list[tuple[int, int]] = []
    opened: list[int] = []
    quoted = False
    position = 0
    while position < len(text):
        char = text[position]
        if quoted and char == '\\':
            position += 1
        elif char == '"' and opened:
            quoted = not quoted
        elif not quoted and char in _OPENING:
            opened.append(position)
        elif not quoted and char in _CLOSING and opened:
            start = opened.pop()
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, position + 1))
        position += 1
    return spans


def _closed(text: str) -> str:
    """`text` with what was cut off closed: '{"AU4": 1, "AU' is '{"AU4": 1}'."""
    start = next((found.start() for found in _BEGINS.finditer(text)), None)
    if start is None or len(text) - start > _LONGEST:
        return text
    opened, ends, quoted = [], [], False
    for position, char in enumerate(text[start:], start):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in _OPENING:
            opened.append(char)
        elif char in _CLOSING and opened:
            opened.pop()
            if not opened:
                return text
        elif char == ',' and opened:
            ends.append((position, ''.join(opened)))
    for stop, still in [(len(text), ''.join(opened)), *reversed(ends[-2:])]:
        closing = ''.join(_CLOSING[_OPENING.index(char)] for char in reversed(still))
        if _parsed(text[start:stop].rstrip(' \n`') + closing) is not None:
            return text[:stop].rstrip(' \n`') + closing
    return text


def _parsed(text: str) -> Any:
    if len(text) > _LONGEST or _depth(text) > _DEEPEST:
        return None
    repaired = text
    for pattern, plain in _REPAIRS:
        repaired = pattern.sub(plain, repaired)
    for reading, read in ((text, json.loads), (text, _literal), (repaired, json.loads)):
        try:
            return read(reading)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        value = ast.literal_eval(text)
    return list(value) if isinstance(value, set) else value


def _depth(text: str) -> int:
    deepest = depth = 0
    for char in text:
        depth += (char in _OPENING) - (char in _CLOSING)
        deepest = max(deepest, depth)
    return deepest
