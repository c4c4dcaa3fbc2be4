"""What an evaluation asks, and in which batches: the same in every run of it, on every host."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt32

from emola_jax.config.eval import EvalConfig
from emola_jax.errors import UserError
from emola_jax.experiment.splits import Split
from input_pipeline.pipeline import Encoder
from input_pipeline.prompt_batches import bucket, prompt_length
from input_pipeline.records import TASKS
from input_pipeline.shuffled_landmarks import deal

CONTROL_SEED = 0
"""The control deals the same landmarks in every run."""


@dataclasses.dataclass(frozen=True)
class Question:
    """One record to answer, without its picture.

    Attributes:
      index: of the record in its split's source.
      id: of the record.
      task: 'emotion' or 'au'.
      length: tokens of its prompt.
      landmarks_of: index of the record whose landmarks are shown; `index` unless they are dealt.
    """

    index: int
    id: str
    task: str
    length: int
    landmarks_of: int


@dataclasses.dataclass(frozen=True)
class Batch:
    """Questions that are answered side by side: of one task, padded to one length."""

    questions: tuple[Question, ...]
    length: int
    max_new_tokens: int


def ask(split: Split, encoder: Encoder, config: EvalConfig, *, blind: bool) -> list[Question]:
    """The questions in the order of the split.

    Args:
      split: what is evaluated.
      encoder: record -> prompt.
      config: how.
      blind: deal each question the landmarks of another record of its task, at random; so does a
        model of shuffled landmarks, by its own seed.

    Raises:
      UserError: there are none.
    """
    usable = split.selection.indices
    if config.limit > len(usable):
        print(
            f'eval.limit is {config.limit}: split {config.split} has {len(usable)} usable records'
        )
    indices = usable[: config.limit or None]
    questions = []
    for index in map(int, indices):
        record = split.source[index]
        length = prompt_length(record, encoder)
        questions.append(Question(index, record.id, record.task, length, index))
    if not questions:
        raise UserError(f'split {config.split}: holds no record to answer')
    if encoder.config.shuffle_landmarks:
        return _deal_landmarks(questions, encoder.config.seed)
    return _deal_landmarks(questions, CONTROL_SEED) if blind else questions


def plan(questions: Iterable[Question], config: EvalConfig, *, rows: int) -> list[Batch]:
    """Batches of `rows` questions of one task and about the same length; the last may hold fewer.

    Sorted by padded length and then as they come, so that there are as few batches as can be.
    """
    batches = []
    questions = sorted(questions, key=lambda question: bucket(question.length))
    for task in TASKS:
        of_task = [question for question in questions if question.task == task]
        for first in range(0, len(of_task), rows):
            chunk = tuple(of_task[first : first + rows])
            batches.append(Batch(chunk, bucket(chunk[-1].length), config.max_new_tokens[task]))
    return batches


def key_words(question: Question, seed: int) -> UInt32[np.ndarray, '2']:
    """The random key that an answer is drawn with, as words of a threefry key.

    It depends on the seed and the question alone, not on its place, its batch or what was answered
    before.
    """
    name = f'{seed}/{question.task}/{question.id}'
    return np.frombuffer(hashlib.sha256(name.encode('utf-8')).digest()[:8], np.uint32)


def _deal_landmarks(questions: Sequence[Question], seed: int) -> list[Question]:
    dealt = deal([question.task for question in questions], seed)
    return [
        dataclasses.replace(question, landmarks_of=questions[giver].index)
        for question, giver in zip(questions, dealt, strict=True)
    ]
