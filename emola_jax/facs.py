"""The field's vocabulary: FACS action units and the seven emotion classes.

Emotion labels keep the numbering of the released FABA-Bench script, so a label of another tool's
file means the same here. Action-unit names are those of the Facial Action Coding System (Ekman &
Friesen, 1978), as FABA-Instruct writes them.
"""

from __future__ import annotations

EMOTIONS: tuple[str, ...] = (
    'happiness',
    'sadness',
    'surprise',
    'anger',
    'neutral',
    'disgust',
    'fear',
)
"""Emotion classes; the index is the label (0..6)."""


def emotion_label(text: str | int) -> int | None:
    """Label 0..6 of an emotion's name in any case, or of its number; None for anything else."""
    name = str(text).strip().lower()
    if name in EMOTIONS:
        return EMOTIONS.index(name)
    return int(name) if name in map(str, range(len(EMOTIONS))) else None


AU_NAMES: dict[int, str] = {
    1: 'Inner Brow Raiser',
    2: 'Outer Brow Raiser',
    4: 'Brow Lowerer',
    5: 'Upper Lid Raiser',
    6: 'Cheek Raiser',
    7: 'Lid Tightener',
    9: 'Nose Wrinkler',
    10: 'Upper Lip Raiser',
    11: 'Nasolabial Deepener',
    12: 'Lip Corner Puller',
    13: 'Cheek Puffer',
    14: 'Dimpler',
    15: 'Lip Corner Depressor',
    16: 'Lower Lip Depressor',
    17: 'Chin Raiser',
    18: 'Lip Puckerer',
    20: 'Lip Stretcher',
    22: 'Lip Funneler',
    23: 'Lip Tightener',
    24: 'Lip Pressor',
    25: 'Lips Part',
    26: 'Jaw Drop',
    27: 'Mouth Stretch',
    28: 'Lip Suck',
    41: 'Lid Droop',
    42: 'Slit',
    43: 'Eyes Closed',
    44: 'Squint',
    45: 'Blink',
    46: 'Wink',
}
"""FACS number -> name."""

AU_LISTS: dict[str, tuple[int, ...]] = {
    'faba': (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27, 43),
    'bp4d': (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24),
    'disfa': (1, 2, 4, 6, 9, 12, 25, 26),
    'gft': (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26),
    'emotionet': (1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26, 43),
}
"""The action units that each data set scores, in the order of the released script."""
