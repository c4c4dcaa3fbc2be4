"""Warnings about an answer, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping

from emola_jax.metrics import action_units, emotions

TASK_NAMES = {'emotion': 'emotion', 'au': 'action-unit'}

EVEN = 0.5
"""An action unit is listed where its probability reaches this."""


def of_emotion(probabilities: Mapping[str, float], text: str) -> tuple[str, ...]:
    """Whether the text names another emotion than the likeliest."""
    likeliest = max(probabilities, key=probabilities.__getitem__)
    named = emotions.parse(text)
    if named is None:
        return ('the text names no emotion',)
    if named == likeliest:
        return ()
    return (
        f'the text says {named} ({probabilities[named]:.2f}), '
        f'the probabilities say {likeliest} ({probabilities[likeliest]:.2f})',
    )


def of_aus(probabilities: Mapping[int, float], text: str) -> tuple[str, ...]:
    """Action units on which text and probabilities disagree."""
    if action_units.is_unparsed(text):
        return ('the text names no action unit',)
    named = action_units.strict_aus(text)
    found = []
    unlikely = [au for au, p in probabilities.items() if au in named and p < EVEN]
    if unlikely:
        found.append(f'named in the text, but unlikely: {_with(probabilities, unlikely)}')
    left_out = [au for au, p in probabilities.items() if au not in named and p >= EVEN]
    if left_out:
        found.append(f'likely, but not in the text: {_with(probabilities, left_out)}')
    if unknown := sorted(named - probabilities.keys()):
        codes = ', '.join(f'AU{au}' for au in unknown)
        found.append(f'named in the text, but never labelled in training: {codes}')
    return tuple(found)


def of_size(side: int, seen: int) -> tuple[str, ...]:
    """Whether a face has less detail than the model looks at."""
    if 2 * side >= seen:
        return ()
    return (f'a small face: {side} pixels wide, and the model looks at {seen}',)


def _with(probabilities: Mapping[int, float], aus: list[int]) -> str:
    return ', '.join(f'AU{au} ({probabilities[au]:.2f})' for au in aus)
