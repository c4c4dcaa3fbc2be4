"""The emotion that a description names, under the two scorings of this project.

`reference_emotion` is what the released FABA-Bench script makes of a text, faults included;
`strict_emotion` is what the text says.
"""

from __future__ import annotations

import re
from collections import Counter

from emola_jax.facs import EMOTIONS, emotion_label
from emola_jax.metrics import negation, prose

SYNONYMS: dict[str, tuple[str, ...]] = {
    'happiness': (
        'happiness', 'happy', 'smiling', 'smile', 'pleasant', 'content', 'contentment', 'relaxed',
        'relaxation', 'cheerful', 'joy', 'amusement', 'amused', 'positivity', 'positive',
        'lightheartedness', 'joyful', 'friendly', 'warmth', 'bright',
    ),
    'sadness': (
        'sadness', 'crying', 'distress', 'concern', 'discomfort', 'anguish', 'somber',
    ),
    'surprise': (
        'surprise', 'surprised', 'startled', 'puzzled', 'astonishment', 'disbelief', 'wonder',
        'curiosity', 'curious', 'confusion', 'bewilderment', 'skepticism', 'excitement',
        'uncertainty',
    ),
    'anger': (
        'anger', 'mad', 'irate', 'outraged', 'agitation', 'irritated', 'enraged', 'annoyed',
        'incensed', 'serious', 'frustration', 'displeased', 'stern',
    ),
    'neutral': (
        'neutral', 'neutrality', 'calm', 'contemplative', 'concerned', 'thoughtful', 'focused',
        'solemn', 'mild',
    ),
    'disgust': (
        'disgust', 'distaste', 'disgusted', 'discomfort', 'displeasure', 'displeased',
        'disapproval', 'disdain', 'contempt',
    ),
    'fear': (
        'fear', 'shock', 'anxiety', 'apprehension', 'tension', 'panic', 'alertness', 'focus',
        'worry', 'alarm', 'curiosity', 'contemplation',
    ),
}  # fmt: skip
"""Words that the released script counts for each emotion, in its order of the emotions."""

NAMING_WORDS: dict[str, tuple[str, ...]] = {
    'happiness': (
        'happiness', 'happy', 'happily', 'joy', 'joyful', 'joyous', 'delighted', 'delight',
        'elated', 'gleeful',
    ),
    'sadness': (
        'sadness', 'sad', 'sadly', 'sorrow', 'sorrowful', 'unhappy', 'unhappiness', 'grief',
        'melancholy', 'heartbroken',
    ),
    'surprise': ('surprise', 'surprised', 'astonished', 'astonishment', 'amazed', 'amazement'),
    'anger': ('anger', 'angry', 'angrily', 'furious', 'fury', 'rage', 'infuriated'),
    'neutral': ('neutral', 'neutrality', 'emotionless', 'expressionless'),
    'disgust': ('disgust', 'disgusted', 'revulsion', 'repulsed', 'revolted'),
    'fear': (
        'fear', 'fearful', 'afraid', 'scared', 'frightened', 'terrified', 'terror', 'horrified',
    ),
}  # fmt: skip
"""Words that name an emotion outright; the strict scoring puts them before the synonyms."""

_NO_EMOTION = re.compile(
    r"\b(?:no|not|without|lack(?:s|ing)?|absence|devoid|\w+n['’]t)\s+"
    r'(?:(?:of|any|an?|show|display|express|convey|have|particular|strong|clear|specific|obvious'
    r'|distinct|discernible|visible|real|much|facial|significant)\s+){0,4}'
    r'(?:emotions?|expressions?|feelings?)\b(?!\s+(?:of|such|other|except|besides|than))',
    re.IGNORECASE,
)
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


def parse(text: str) -> str | None:
    """The name of the emotion that the strict scoring reads in `text`, or None."""
    label = strict_emotion(text)
    return None if label is None else EMOTIONS[label]


def parse_label(label: str | int) -> int | None:
    """Label 0..6 of an annotation: an emotion's name in any case, or its number; else None."""
    return emotion_label(label)


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
