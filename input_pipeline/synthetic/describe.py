"""Writes a face's emotion or its action units as FABA-Instruct does, from the intensities.

An emotion description names the class word first, then the strongest action units as seen, then a
conclusion. An action-unit description lists every present unit by code and FACS name, and says
how they relate. Structure is fixed so that a small model can learn it; wording is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from emola_jax.facs import AU_NAMES, EMOTIONS
from input_pipeline.synthetic import phrases
from input_pipeline.synthetic.action_units import PRESENCE, AuIntensities, present_aus
from input_pipeline.synthetic.au_phrases import AU_PHRASES, RELATIONS
from input_pipeline.synthetic.grammar import expand, join, pick, sentence

Task = Literal['emotion', 'au']
Form = Literal['short', 'long']

# The weaker side of an asymmetric action unit has at most this share of the stronger one.
_ASYMMETRY = 0.6
# From this many action units on, the short form says each in two or three words, and how the
# strongest one leads is left out.
_MANY_AUS = 6


def describe(
    task: Task, emotion: int, aus: AuIntensities, rng: np.random.Generator, form: Form
) -> tuple[str, str]:
    """Writes an instruction and the response to it.

    Args:
      task: 'emotion' or 'au'.
      emotion: label 0..6 (not read for task 'au').
      aus: FACS number -> (left, right) intensity, left being the subject's; present where the
        stronger side reaches 0.25.
      rng: the source of every choice of words.
      form: 'short' (about 40 words for an emotion, 80 for action units) or 'long' (50 and 200).

    Returns:
      Instruction and response.

    Raises:
      ValueError: for a task, form, emotion or action unit that does not exist.
    """
    if form not in ('short', 'long'):
        raise ValueError(f"form {form!r}: expected 'short' or 'long'")
    if unknown := sorted(set(aus) - set(AU_PHRASES)):
        raise ValueError(f'aus: no description exists for action units {unknown}')
    if task == 'emotion':
        if emotion not in range(len(EMOTIONS)):
            raise ValueError(f'emotion {emotion}: expected 0..{len(EMOTIONS) - 1}')
        response = _describe_emotion(EMOTIONS[emotion], aus, rng, form)
        return pick(phrases.EMOTION_INSTRUCTIONS, rng), response
    if task == 'au':
        write = _describe_aus if form == 'short' else _describe_aus_at_length
        present = present_aus(aus)
        response = write(present, aus, rng) if present else _describe_rest(rng)
        return pick(phrases.AU_INSTRUCTIONS, rng), response
    raise ValueError(f"task {task!r}: expected 'emotion' or 'au'")


def _describe_emotion(name: str, aus: AuIntensities, rng: np.random.Generator, form: Form) -> str:
    naming = phrases.EMOTION_NAMING.get(name, name)
    opening = pick(phrases.EMOTION_OPENINGS, rng).format(emotion=naming)
    cues = _emotion_cues(name, aus, rng, form)
    lead = pick(phrases.CUE_LEADS, rng)
    conclusion = phrases.CONCLUSION.format(mood=phrases.MOODS[name])
    parts = (opening, lead + join(cues), conclusion)
    return ' '.join(sentence(expand(part, rng)) for part in parts)


def _emotion_cues(name: str, aus: AuIntensities, rng: np.random.Generator, form: Form) -> list[str]:
    """Clauses on the strongest action units; parts at rest fill up a neutral face."""
    wanted = 3 if form == 'short' else 4
    present = present_aus(aus)
    chosen = _strongest_first(present, aus)[:wanted]
    cues = [_clause(au, aus, rng, form) for au in chosen]
    if name == 'neutral':
        cues += _resting_cues(present, wanted - len(cues), rng)
    return cues or [expand(cue, rng) for cue in phrases.FAINT_CUES]


def _resting_cues(present: Sequence[int], count: int, rng: np.random.Generator) -> list[str]:
    parts = [part for moved, part in phrases.RESTING_PARTS if not moved.intersection(present)]
    order = rng.permutation(len(parts))[: max(count, 0)]
    return [expand(parts[i], rng) for i in order]


def _describe_rest(rng: np.random.Generator) -> str:
    sentences = (
        expand(phrases.NO_AU_OPENING, rng),
        join(_resting_cues((), 3, rng)),
        expand(phrases.NO_AU_CLOSING, rng),
    )
    return ' '.join(sentence(text) for text in sentences)


def _describe_aus(present: Sequence[int], aus: AuIntensities, rng: np.random.Generator) -> str:
    lines = []
    for number, au in enumerate(present, start=1):
        if len(present) >= _MANY_AUS:
            seen = expand(AU_PHRASES[au].brief, rng) + _side(au, aus, ' ({side})', ' ({side})')
        else:
            seen = _clause(au, aus, rng, 'short')
            seen += _side(au, aus, ' ({side} only)', ' (mostly {side})')
        lines.append(f'{number}. AU{au} - {AU_NAMES[au]}: {seen}.')
    if len(present) == 1:
        lines.append(sentence(_single(present[0], rng)))
    else:
        closing = [_relation(present, aus, rng), _emphasis(present, aus, rng)]
        order = [0, 1] if rng.integers(2) else [1, 0]
        link = pick((', and ', ', while ', ', whereas '), rng)
        lines.append(sentence(link.join(closing[i] for i in order)))
    return '\n'.join(lines)


def _describe_aus_at_length(
    present: Sequence[int], aus: AuIntensities, rng: np.random.Generator
) -> str:
    regions = [AU_PHRASES[au].region for au in present]
    region = max(phrases.REGION_NAMES, key=regions.count)
    span = f'[|ranging |reaching ]from AU{present[0]} to AU{present[-1]}'
    if len(present) == 1:
        span = f'AU{present[0]}'
    opening = phrases.LONG_OPENING.format(
        count=_count(present),
        units='unit' if len(present) == 1 else 'units',
        span=span,
        region=phrases.REGION_NAMES[region],
    )
    lines = [_capitalise(expand(opening, rng)), '']
    for number, au in enumerate(present, start=1):
        lines.append(f'{number}. AU{au} - {AU_NAMES[au]}: {_explain(au, aus, rng)}')
    closing = [_single(present[0], rng)]
    if len(present) > 1:
        closing = [_relation(present, aus, rng), _emphasis(present, aus, rng)]
        closing.append(expand(phrases.LONG_CLOSING, rng))
    lines += ['', ' '.join(sentence(text) for text in closing)]
    return '\n'.join(lines)


def _explain(au: int, aus: AuIntensities, rng: np.random.Generator) -> str:
    """What is seen, the muscle that causes it, and what follows from it."""
    seen = _clause(au, aus, rng, 'long')
    seen += _side(au, aus, ', only on the {side} side', ', more on the {side} side')
    cause = expand(phrases.LONG_CAUSE.format(muscle=AU_PHRASES[au].muscle), rng)
    effect = expand(phrases.LONG_EFFECT.format(effect=AU_PHRASES[au].effect), rng)
    return f'{sentence(f"{seen}, {cause}")} {sentence(effect)}'


def _clause(au: int, aus: AuIntensities, rng: np.random.Generator, form: Form) -> str:
    how = '' if form == 'short' else _below(_intensity(aus, au), phrases.LEVELS)
    return expand(AU_PHRASES[au].clause.format(how=how), rng)


def _relation(present: Sequence[int], aus: AuIntensities, rng: np.random.Generator) -> str:
    """How the clearest group of related units, or the two strongest, act on the face."""
    related = [group for group in RELATIONS if set(group) <= set(present)]
    if not related:
        first, second = sorted(_strongest_first(present, aus)[:2])
        frame = phrases.REGION_FRAME.format(
            first=f'AU{first}',
            second=f'AU{second}',
            region=phrases.REGION_NAMES[AU_PHRASES[first].region],
            other=phrases.REGION_NAMES[AU_PHRASES[second].region],
        )
        return expand(frame, rng)
    group = max(related, key=lambda aus_of: min(_intensity(aus, au) for au in aus_of))
    names = join([f'AU{au}' for au in group])
    frame = pick(phrases.RELATION_FRAMES, rng)
    return expand(frame.format(aus=names, effect=RELATIONS[group]), rng)


def _emphasis(present: Sequence[int], aus: AuIntensities, rng: np.random.Generator) -> str:
    """Which of several units is strongest and, unless they are two or many, by how much."""
    strongest, second = _strongest_first(present, aus)[:2]
    frame = pick(phrases.STRONGEST if len(present) > 2 else phrases.STRONGER, rng)
    if 2 < len(present) < _MANY_AUS:
        lead = _intensity(aus, strongest) - _intensity(aus, second)
        frame += ', ' + _below(lead, phrases.LEADS)
    names = {'strongest': f'AU{strongest}', 'second': f'AU{second}'}
    return expand(frame.format(**names, count=_count(present)), rng)


def _single(au: int, rng: np.random.Generator) -> str:
    region = phrases.REGION_NAMES[AU_PHRASES[au].region]
    return expand(phrases.SINGLE.format(au=f'AU{au}', region=region), rng)


def _side(au: int, aus: AuIntensities, only: str, more: str) -> str:
    """Returns `only` or `more` with the stronger side filled in; '' where the sides are alike."""
    left, right = aus[au]
    weaker, stronger = sorted((left, right))
    if not AU_PHRASES[au].sided or weaker > _ASYMMETRY * stronger:
        return ''
    side = 'left' if left > right else 'right'
    return (only if weaker < PRESENCE else more).format(side=side)


def _intensity(aus: AuIntensities, au: int) -> float:
    return max(aus[au])


def _strongest_first(present: Sequence[int], aus: AuIntensities) -> list[int]:
    return sorted(present, key=lambda au: -_intensity(aus, au))


def _below(value: float, steps: Sequence[tuple[float, str]]) -> str:
    """The text of the first step whose bound is above `value`."""
    return next(text for bound, text in steps if value < bound)


def _count(present: Sequence[int]) -> str:
    number = len(present)
    return phrases.COUNTS[number] if number < len(phrases.COUNTS) else str(number)


def _capitalise(text: str) -> str:
    return text[0].upper() + text[1:]
