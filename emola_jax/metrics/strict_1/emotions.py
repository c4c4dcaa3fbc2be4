"""Version 1 of the strict reading of emotions: the first statement that names one decides."""

from __future__ import annotations

import re
from collections import Counter

from emola_jax.facs import EMOTIONS
from emola_jax.metrics.strict_1 import negation, prose
from emola_jax.metrics.words import NAMING_WORDS, SYNONYMS

_NO_EMOTION = re.compile(
    r"\b(?:no|not|without|lack(?:s|ing)?|absence|devoid|\w+n['’]t)\s+"
    r'(?:(?:of|any|an?|show|display|express|convey|have|particular|strong|clear|specific|obvious'
    r'|distinct|discernible|visible|real|much|facial|significant)\s+){0,4}'
    r'(?:emotions?|expressions?|feelings?)\b(?!\s+(?:of|such|other|except|besides|than))',
    re.IGNORECASE,
)
_WORD = re.compile(r'\b\w+\b')


def strict_emotion(text: str) -> int | None:
    """Label 0..6 of the emotion that `text` affirms, or None if it affirms none.

    The first statement with an affirmed emotion word decides: its first naming word ('sadness',
    'angry'), else its most frequent synonym group, the earlier one at a tie. A synonym that the
    lists give to two emotions ('displeased') decides nothing. Words in the scope of a negation do
    not count. A statement that no emotion is shown is neutral, if it has no such word.
    """
    for statement in prose.statements(text):
        spans = negation.denied_spans(statement)
        words = [
            found[0].lower()
            for found in _WORD.finditer(statement)
            if not negation.is_denied(found.start(), spans)
        ]
        for word in words:
            if word in _LABEL_OF_NAME:
                return _LABEL_OF_NAME[word]
        labels = Counter(_LABEL_OF_SYNONYM[word] for word in words if word in _LABEL_OF_SYNONYM)
        if labels:
            # Counter keeps the order of first occurrence, and max the first of equals.
            return max(labels, key=labels.__getitem__)
        if _NO_EMOTION.search(statement):
            return EMOTIONS.index('neutral')
    return None


def _unambiguous(groups: dict[str, tuple[str, ...]]) -> dict[str, int]:
    occurrences = Counter(word for words in groups.values() for word in words)
    return {
        word: EMOTIONS.index(emotion)
        for emotion, words in groups.items()
        for word in words
        if occurrences[word] == 1
    }


_LABEL_OF_NAME = _unambiguous(NAMING_WORDS)
_LABEL_OF_SYNONYM = _unambiguous(SYNONYMS)
