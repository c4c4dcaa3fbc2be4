"""Where an answer states its label: the words that recognition is scored by."""

from __future__ import annotations

import re

from emola_jax.facs import EMOTIONS

Span = tuple[int, int]

# "3. AU12" at the start of a line: that the list goes on, and with which action unit.
_LISTED_AU = re.compile(r'^(?:\d+\.\s*)?AU\s?\d+(?=\s*-)', re.MULTILINE)
_EMOTION = re.compile('|'.join(EMOTIONS), re.IGNORECASE)


def label_spans(task: str, response: str) -> list[Span]:
    """Character spans (start, end) of the label in an answer.

    Every listed action unit's number and code for 'au'; the first emotion word for 'emotion'.
    """
    if task == 'au':
        return [match.span() for match in _LISTED_AU.finditer(response)]
    first = _EMOTION.search(response)
    return [first.span()] if first else []


def overlaps(token: Span, spans: list[Span]) -> bool:
    """Whether a token's characters share any with one of `spans`."""
    return any(token[0] < end and start < token[1] for start, end in spans)
