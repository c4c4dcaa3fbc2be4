"""The `eval` section of a config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

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
