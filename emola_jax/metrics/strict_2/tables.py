"""The reader's tables (words.toml), made ready for look-ups."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from emola_jax.facs import AU_NAMES, EMOTIONS

_RAW: dict[str, Any] = tomllib.loads(Path(__file__).with_name('words.toml').read_text('utf-8'))

STRENGTHS = ('weak', 'clear', 'name')
"""How surely a word names an emotion, from least to most."""


def phrases(listed: str) -> re.Pattern[str]:
    """A pattern that finds any phrase of a list 'one; two words; stem*' as whole words."""
    parts = [part.strip() for part in listed.split(';') if part.strip()]
    spelled = [
        r'\W+'.join(re.escape(word).replace(r'\*', r'\w*') for word in part.split())
        for part in sorted(parts, key=len, reverse=True)
    ]
    return re.compile(rf'(?<!\w)(?:{"|".join(spelled)})(?!\w)' if spelled else r'(?!)', re.I)


EMOTION_WORDS: dict[str, tuple[int, int]] = {
    word: (EMOTIONS.index(emotion), strength)
    for strength, name in enumerate(STRENGTHS)
    for emotion, words in _RAW['emotions'][name].items()
    for word in words.split()
}
"""Word -> label and strength (index into STRENGTHS)."""

EMOJI = {
    face: EMOTIONS.index(emotion)
    for emotion, faces in _RAW['emotions']['emoji'].items()
    for face in faces.split()
}
IDIOMS: tuple[tuple[re.Pattern[str], int | None, int], ...] = (
    *(
        (phrases(listed), EMOTIONS.index(emotion), strength)
        for strength, name in enumerate(STRENGTHS)
        for emotion, listed in _RAW['idioms'][name].items()
        if listed.strip()
    ),
    (phrases(_RAW['idioms']['nothing']), None, 0),
)
"""Phrases, the label that they stand for (None: none), and their strength."""

CONCLUSIONS = {
    name: phrases(listed)
    for name, listed in _RAW['conclusions'].items()
    if name not in ('parts', 'subjects')
}
PARTS = frozenset(_RAW['conclusions']['parts'].split())
SUBJECTS = frozenset(_RAW['conclusions']['subjects'].split())

OFFERED = phrases(_RAW['offered']['before'])
"""What comes before units that an answer only repeats from the question."""
OFFERED_FIRST = phrases(_RAW['offered']['opening'])
OFFERING_HEADS = phrases(_RAW['offered']['heads'])
FIRST_THOUGHTS = phrases(_RAW['revisions']['first'])
RETRACTIONS = phrases(_RAW['revisions']['retract'])

DEGREES = '|'.join(_RAW['verdicts']['degrees'].split())
DENYING = frozenset(_RAW['verdicts']['deny'].split())
NEGATORS = frozenset(_RAW['verdicts']['negators'].split())
AFFIRMING = frozenset(_RAW['verdicts']['affirm'].split())
FILLER = frozenset(_RAW['verdicts']['filler'].split())
GRADES: dict[str, float] = _RAW['verdicts']['graded']

# Everyday words are no sign that a text speaks FACS.
_EVERYDAY = ('Slit', 'Squint', 'Blink', 'Wink')
_OTHER_NAMES = {
    name.strip(): int(au)
    for au, unit in _RAW['units'].items()
    for name in unit['names'].split(';')
    if name.strip()
}
AU_OF_NAME: dict[str, int] = {
    **{name.lower(): au for au, name in AU_NAMES.items() if name not in _EVERYDAY},
    **{f'{name.lower()}s': au for au, name in AU_NAMES.items() if name not in _EVERYDAY},
}
"""FACS names, and their plurals -> number; they are read in any text without codes."""
KEY_NAMES: dict[str, int] = {**_OTHER_NAMES, **AU_OF_NAME}
"""Names as keys of a table, an object or a listing: other forms of the names as well."""

PARTS_OF = {int(au): unit['parts'].split() for au, unit in _RAW['units'].items()}
ACTS_OF = {
    int(au): re.compile(rf'\b(?:{"|".join(unit["acts"].split())})\w{{0,6}}\b', re.I)
    for au, unit in _RAW['units'].items()
}
CONTRARY_OF = {
    int(au): re.compile(rf'\b(?:{"|".join(unit["contrary"].split())})\b', re.I)
    for au, unit in _RAW['units'].items()
    if 'contrary' in unit
}
ALL_PARTS = frozenset(part for parts in PARTS_OF.values() for part in parts) - {
    'inner', 'outer', 'upper', 'lower', 'smile', 'furrow',
}  # fmt: skip
