"""Questions and answers for data sets that come with labels and no texts.

The released code asks FABA-Instruct's question of these sets too, and finds labels in the answer
by "AU" with digits, or by an emotion word. How its authors worded the training answers isn't
published, so the wording here is ours: the label, in the form of FABA-Instruct's own listings
("1. AU4 - Brow Lowerer"), and nothing that the label doesn't say. Both scorings read it back as the
label. As a description it is worthless, so S_ge says nothing on these sets: read S_re alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from emola_jax.facs import AU_NAMES, EMOTIONS

QUESTIONS = {
    'emotion': 'What emotions are conveyed by this face?',
    'au': 'What AUs are conveyed by this face?',
}
"""What the released evaluation asks."""

AT_REST = 'No action units are active in this face.'
"""The answer for a face without any action unit."""


def emotion_answer(emotion: int) -> str:
    """The answer that states an emotion, by its label 0..6."""
    return f'The emotion of this face is {EMOTIONS[emotion]}.'


def au_answer(aus: Sequence[int]) -> str:
    """The answer that lists action units, by their FACS numbers, in ascending order."""
    if not aus:
        return AT_REST
    lines = [f'{n}. AU{au} - {AU_NAMES[au]}.' for n, au in enumerate(sorted(aus), start=1)]
    return '\n'.join(['The active action units of this face are:', '', *lines])
