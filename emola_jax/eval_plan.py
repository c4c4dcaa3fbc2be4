"""What an evaluation asks, and in which batches: the same in every run of it, on every host."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt32

from emola_jax.data import Split
from emola_jax.errors import UserError
from emola_jax.samplers import Sampler
from input_pipeline.dealing import deal
from input_pipeline.pipeline import Encoder
from input_pipeline.prompts import bucket, prompt_length
from input_pipeline.records import TASKS

CONTROL_SEED = 0
"""The control deals the same landmarks in every run."""

CHECKPOINTS = ('newest', 'best')
"""'best' is the one with the highest score of a validation (`train.validate`)."""


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """A config's `eval` section.

    Attributes:
      split: the data set's split that is answered.
      batch_size: answers written side by side, over all devices; rounded up to a multiple of the
        devices that share a batch.
      max_new_tokens: by task; a longer answer is cut off there, and counted in `cut_off`.
      sampler: greedy unless its temperature is above 0.
      limit: only the first so many records of the split; 0 is all of them.
      merge: fold LoRA into the weights before, so that a token costs less; False keeps a quantised
        base small.
      refill: 0 answers a batch to the end of its longest answer; else rows that have ended take the
        next questions, of either task, so many at a time over all devices.
      unroll: decode without a compiled loop over layers, which is faster on a CPU.
      control: also answer with blank images and other faces' landmarks.
      checkpoint: of `CHECKPOINTS`, which one --mode=eval answers with; a training that ends is
        evaluated as it ended.
    """

    split: str
    batch_size: int
    max_new_tokens: Mapping[str, int]
    sampler: Sampler
    limit: int = 0
    merge: bool = True
    unroll: bool = False
    control: bool = False
    checkpoint: str = 'newest'
    refill: int = 0

    def __post_init__(self) -> None:
        if self.checkpoint not in CHECKPOINTS:
            raise UserError(
                f'eval.checkpoint is {self.checkpoint!r}; expected one of {CHECKPOINTS}'
            )
        if self.batch_size < 1:
            raise UserError(f'eval.batch_size is {self.batch_size}; expected 1 or more')
        if self.refill < 0:
            raise UserError(f'eval.refill is {self.refill}; expected 0 (none) or more rows')
        if self.limit < 0:
            raise UserError(f'eval.limit is {self.limit}; expected 0 (all records) or more')
        for task in TASKS:
            if self.max_new_tokens.get(task, 0) < 1:
                raise UserError(
                    f'eval.max_new_tokens.{task} is {self.max_new_tokens.get(task)}; '
                    'expected 1 or more'
                )

    @classmethod
    def from_config_dict(cls, config: Mapping[str, Any]) -> EvalConfig:
        """Builds the record from an `ml_collections.ConfigDict` or a plain nested mapping.

        Raises:
          UserError: a field is unknown, missing, or holds a value that it can't have.
        """
        values = dict(config.items())
        _check_fields(cls, values, 'eval.')
        sampler = dict(values['sampler'].items())
        _check_fields(Sampler, sampler, 'eval.sampler.')
        return cls(**{**values, 'sampler': Sampler(**sampler)})


def _check_fields(record: type, values: Mapping[str, Any], prefix: str) -> None:
    fields = {field.name: field for field in dataclasses.fields(record)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        names = ', '.join(prefix + name for name in unknown)
        raise UserError(f'unknown config field(s) {names}; expected some of {sorted(fields)}')
    missing = [
        prefix + name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING
    ]
    if missing:
        raise UserError(f'the config lacks {", ".join(missing)}')


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
