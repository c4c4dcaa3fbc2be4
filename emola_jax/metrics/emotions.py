"""The emotion that a description names, under the two scorings of this project.

`reference_emotion` is what the released FABA-Bench script makes of a text, faults included;
`strict_emotion` is what the text says.
"""

from __future__ import annotations

import re

from emola_jax.facs import EMOTIONS, emotion_label
from emola_jax.metrics import readers
from emola_jax.metrics.words import NAMING_WORDS as NAMING_WORDS
from emola_jax.metrics.words import SYNONYMS as SYNONYMS

_WORD = re.compile(r'\b\w+\b')
# The released script's sentence ends: after '.' or '?', but not after 'e.g.' or 'Dr.'.
_REFERENCE_BREAK = re.compile(r'(?<=[.?])(?<!\w\.\w.)(?<![A-Z][a-z]\.)\s')
# It looks for these anywhere in a sentence, so 'no' is found in 'nose' and 'notable'.
_REFERENCE_NEGATIONS = ('no', "isn't ", "won't", "shouldn't", 'neither')
_FIRST_SENTENCE = re.compile(r'([^\n]*?)[.!?]')


def reference_affirmed(text: str) -> str:
    """The sentences of `text` in which the released script finds no negation."""
    return ' '.join(
        part
        for part in _REFERENCE_BREAK.split(text)
        if not any(word in part.lower() for word in _REFERENCE_NEGATIONS)
    )


def reference_emotion(text: str) -> int | None:
    """Label 0..6 that the released script gives to `text`.

    Sentences with a negation are dropped, unless that leaves nothing. The first word of the first
    sentence that is some emotion's synonym decides; else the emotion with most synonyms in the
    rest, and happiness where there is none at all.

    Returns:
      The label, or None where the script crashes: no '.', '!' or '?' in the first line.
    """
    affirmed = reference_affirmed(text) or text
    first = _FIRST_SENTENCE.match(affirmed)
    if first is None:
        return None
    for word in _WORD.findall(first[1].lower()):
        for label, emotion in enumerate(EMOTIONS):
            if word in SYNONYMS[emotion]:
                return label
    words = _WORD.findall(affirmed[first.end() :].lower())
    counts = [sum(word in SYNONYMS[emotion] for word in words) for emotion in EMOTIONS]
    return counts.index(max(counts))


def strict_emotion(text: str, reader: str = readers.LATEST) -> int | None:
    """Label 0..6 of the emotion that `text` affirms, or None if it affirms none.

    Args:
      text: the answer.
      reader: the version of the strict reader.
    """
    return readers.named(reader).emotion(text)


def parse(text: str, reader: str = readers.LATEST) -> str | None:
    """The name of the emotion that the strict scoring reads in `text`, or None."""
    label = strict_emotion(text, reader)
    return None if label is None else EMOTIONS[label]


def parse_label(label: str | int) -> int | None:
    """Label 0..6 of an annotation: an emotion's name in any case, or its number; else None."""
    return emotion_label(label)
