"""One answer to score, with what it should have been."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.metrics import action_units, emotions

Task = Literal['emotion', 'au']


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer and what it should have been.

    Attributes:
      id: names the sample in messages.
      prediction: the answer.
      reference: the annotated description.
      label: '4, 9' (action units, '' for none), or an emotion's name or number 0..6.
      rouge_l: a recorded ROUGE-L in [0, 1] that stands in for a reference which is not at hand.
    """

    id: str
    prediction: str
    reference: str
    label: str
    rouge_l: float | None = None

    @classmethod
    def from_row(
        cls, row: Mapping[str, object], task: Task | None = None, *, rouge_l: float | None = None
    ) -> Sample:
        """Reads one line of predictions.jsonl.

        Args:
          row: its fields; those that are not asked for are ignored.
          task: the task of a row that names none.
          rouge_l: see the attribute.

        Raises:
          UserError: for a missing field, a field that is no text, a task or label that is none.
        """
        name = f'prediction {row.get("id", "(no id)")}'
        row = {'task': task, **row} if task else row
        for field in ('id', 'task', 'prediction', 'reference', 'label'):
            if field not in row:
                raise UserError(f'{name}: field {field!r} is missing')
        prediction, reference = (_text(row[field], f'{name}: {field}') for field in _TEXTS)
        if isinstance(row['id'], bool) or not isinstance(row['id'], str | int):
            raise UserError(f'{name}: id is {row["id"]!r}, expected a text or a number')
        if row['task'] not in get_args(Task):
            raise UserError(f"{name}: task {row['task']!r}, expected 'emotion' or 'au'")
        label = _label(row['label'], row['task'], name)
        # Of a million samples few labels differ.
        return cls(str(row['id']), prediction, reference, sys.intern(label), rouge_l)


_TEXTS = ('prediction', 'reference')


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f'{where} is {value!r}, expected a text')
    return value


def _label(value: object, task: object, name: str) -> str:
    label = ', '.join(map(str, value)) if isinstance(value, list) else str(value)
    if task == 'emotion':
        if emotions.parse_label(label) is None:
            names = ', '.join(EMOTIONS)
            raise UserError(f'{name}: label {label!r}, expected 0..6 or one of {names}')
    elif not action_units.is_label(label):
        raise UserError(f'{name}: label {label!r}, expected FACS numbers such as "4, 9"')
    return label
