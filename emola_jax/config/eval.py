"""The `eval` section of a config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from emola_jax.errors import UserError
from emola_jax.generation.sampler import Sampler
from input_pipeline.records import TASKS

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
      limit: only this many records, from the start of the split; 0 is all of them.
      merge: fold LoRA into the weights before, so that a token costs less; False keeps a quantised
        base small.
      refill: 0 answers a batch to the end of its longest answer; else rows that have ended take the
        next questions, of either task, this many at a time over all devices.
      unroll: decode without a compiled loop over layers, which is faster on a CPU.
      control: also answer with blank images and other faces' landmarks.
      checkpoint: of `CHECKPOINTS`, which one --mode=eval answers with; a training that ends is
        evaluated as it ended.
    """

    split: str
    batch_size: int
    max_new_tokens: Mapping[str, int]
    sampler: Sampler = dataclasses.field(default_factory=Sampler)
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
        for name, low in (('batch_size', 1), ('refill', 0), ('limit', 0)):
            if getattr(self, name) < low:
                raise UserError(f'eval.{name} is {getattr(self, name)}; expected {low} or more')
        for task in TASKS:
            if self.max_new_tokens.get(task, 0) < 1:
                raise UserError(
                    f'eval.max_new_tokens.{task} is {self.max_new_tokens.get(task)}; '
                    'expected 1 or more'
                )
