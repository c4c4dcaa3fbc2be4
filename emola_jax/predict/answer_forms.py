"""How a model writes its answers: what the probabilities are read from.

Probabilities are those of words that the model itself would write, so they need the wording that it
was trained on. That is a property of the data set, which the run's config names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from emola_jax.config.run import RunConfig
from emola_jax.facs import AU_NAMES, EMOTIONS
from input_pipeline.datasets import registry
from input_pipeline.datasets.synthetic_faces import FacesConfig
from input_pipeline.datasets.wording import QUESTIONS
from input_pipeline.synthetic import phrases
from input_pipeline.synthetic.describe import describe


@dataclasses.dataclass(frozen=True)
class AuList:
    """A list of action units, in ascending order.

    Attributes:
      opening: all text in front of the first number, 'AU' included.
      behind: what follows a number; `{name}` is the FACS name.
      joiner: what then goes on to the next number, 'AU' included; `{number}` is its place in the
        list, from 1.
      rest: how the answer begins where no action unit is active; '' where that isn't fixed.
    """

    opening: str
    behind: str
    joiner: str
    rest: str = ''


CODES = AuList('Seen here: AU', '', ', AU', 'No')
"""'Seen here: AU4, AU9.'"""

NUMBERED = AuList('1. AU', ' - {name}.\n', '{number}. AU', 'No')
"""'1. AU4 - Brow Lowerer.', one line each."""


@dataclasses.dataclass(frozen=True)
class AnswerForm:
    """The questions that a model is asked and the constrained answers that are scored.

    Attributes:
      questions: by task.
      emotion_opening: all text in front of the emotion.
      emotion_words: what follows it, one text for each of `EMOTIONS`.
      aus: how action units are listed.
    """

    questions: dict[str, str]
    emotion_opening: str
    emotion_words: tuple[str, ...]
    aus: AuList


_PLAIN_WORDS = tuple(f' {emotion}' for emotion in EMOTIONS)

RENDERED = AnswerForm(
    questions={
        'emotion': phrases.EMOTION_INSTRUCTIONS[0],
        'au': phrases.AU_INSTRUCTIONS[0],
    },
    emotion_opening='The emotion shown in this face appears to be',
    emotion_words=tuple(f' {"a " * (name in phrases.EMOTION_NAMING)}{name}' for name in EMOTIONS),
    aus=NUMBERED,
)
"""Rendered faces (`input_pipeline.synthetic.describe`); how they list action units, `of_config`
finds out."""

STATED = AnswerForm(
    questions=QUESTIONS,
    emotion_opening='The emotion of this face is',
    emotion_words=_PLAIN_WORDS,
    aus=dataclasses.replace(
        NUMBERED, opening='The active action units of this face are:\n\n1. AU', rest='No'
    ),
)
"""Data sets of labels without texts (`input_pipeline.datasets.wording`)."""

DESCRIBED = AnswerForm(
    questions=QUESTIONS,
    emotion_opening='The emotion conveyed by this face is',
    emotion_words=_PLAIN_WORDS,
    aus=dataclasses.replace(NUMBERED, rest=''),
)
"""FABA-Instruct, whose answers were written by GPT-4V and open in many ways."""


def of_config(config: RunConfig) -> AnswerForm:
    """The form that the run of this config was trained on.

    Raises:
      UserError: the config names no known data set.
    """
    name = registry.full_name(config.data.dataset)
    if name == registry.RENDERED:
        return _rendered(_faces(config).form)
    return DESCRIBED if name == 'faba_instruct' else STATED


def _faces(config: RunConfig) -> FacesConfig:
    return config.data.synthetic_faces or FacesConfig()


def _rendered(length: Literal['short', 'long']) -> AnswerForm:
    """Lists as the grammar of rendered faces writes them: codes in its first line, or numbered."""
    _, answer = describe('au', 0, {4: (1, 1), 12: (1, 1)}, np.random.default_rng(0), length)
    lead = answer.split('\n')[0]
    return dataclasses.replace(RENDERED, aus=CODES if 'AU4, AU12' in lead else NUMBERED)


def known_aus(config: RunConfig, labelled: Sequence[int] = ()) -> tuple[int, ...]:
    """The action units that the run's data set labels, ascending; more than those that are scored.

    Args:
      config: of the run.
      labelled: those that a set without a fixed list has labels of, as the run noted them; () of an
        older run, which may have had any.

    Raises:
      UserError: the config names no known data set.
    """
    if registry.full_name(config.data.dataset) == registry.RENDERED:
        return _faces(config).aus
    data_set = registry.find(config.data.dataset).DATA_SET
    if data_set.au_list or not labelled:
        return tuple(sorted(data_set.known_aus))
    return tuple(sorted(labelled))


def stem(form: AuList, number: int, code: int | None) -> tuple[str, str]:
    """The text from one number of a list to the next.

    Args:
      form: of the list.
      number: the place of the next one, from 0.
      code: the number before, or None at the list's start.

    Returns:
      (what is given, what the model has to go on with for the list to go on).
    """
    if code is None:
        return form.opening, ''
    return (
        form.behind.format(name=AU_NAMES[code]),
        form.joiner.format(number=number + 1),
    )


def list_text(form: AuList, codes: Sequence[int]) -> str:
    """A list as the model would write it, without its end."""
    text = ''
    for number, code in enumerate(codes):
        before = codes[number - 1] if number else None
        text += ''.join(stem(form, number, before)) + str(code)
    return text
