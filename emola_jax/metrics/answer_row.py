"""One line of predictions.jsonl: an answer of ours with all that scores and reports need."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from emola_jax.files import json_values
from emola_jax.files.json_values import JsonObject, field, optional
from emola_jax.files.whole import numbered_jsonl
from emola_jax.metrics.sample import Sample


@dataclasses.dataclass(frozen=True)
class AnswerRow:
    """An answer, its question and its label; the fields are those of a line, in its order.

    Attributes:
      id: of the record.
      image: file of the picture, relative to the folder of predictions.jsonl; None without one.
      task: 'emotion' or 'au'.
      dataset: the data set's name.
      instruction: the question.
      prediction: the answer.
      reference: the annotated description.
      label: '4, 9' (action units, '' for none), or an emotion's name.
      parsed: what the strict reader reads in the answer, as a label; None for nothing.
      rouge_l: likeness to the reference, 0 to 1.
      finished: whether the answer ended before the length limit.
      fold: of cross-validation; None, and not written, for other runs.
    """

    id: str
    image: str | None
    task: str
    dataset: str
    instruction: str
    prediction: str
    reference: str
    label: str
    parsed: str | None
    rouge_l: float
    finished: bool
    fold: str | None = None

    @classmethod
    def from_json(cls, given: Mapping[str, object], where: str) -> AnswerRow:
        """Reads the object of a line; fields of other names are left out.

        Args:
          given: the object.
          where: file and line, for messages.

        Raises:
          UserError: a field is missing or of another kind.
        """
        text = json_values.text
        optional_text = json_values.or_none(text)
        return cls(
            id=field(given, 'id', text, where),
            image=field(given, 'image', optional_text, where),
            task=field(given, 'task', text, where),
            dataset=field(given, 'dataset', text, where),
            instruction=field(given, 'instruction', text, where),
            prediction=field(given, 'prediction', text, where),
            reference=field(given, 'reference', text, where),
            label=field(given, 'label', text, where),
            parsed=field(given, 'parsed', optional_text, where),
            rouge_l=field(given, 'rouge_l', json_values.number, where),
            finished=field(given, 'finished', json_values.flag, where),
            fold=optional(given, 'fold', optional_text, where),
        )

    def to_json(self) -> JsonObject:
        """The object of a line."""
        found = {name: getattr(self, name) for name in _NAMES}
        if self.fold is None:
            del found['fold']
        return found

    def sample(self) -> Sample:
        """What is scored.

        Raises:
          UserError: the label is none of the task.
        """
        return Sample.from_row(self.to_json())


_NAMES = tuple(each.name for each in dataclasses.fields(AnswerRow))


def read(path: Path) -> list[AnswerRow]:
    """The rows of a predictions.jsonl of ours; a missing file is empty.

    Raises:
      UserError: a line is damaged, or lacks a field.
    """
    return [AnswerRow.from_json(row, where) for where, row in numbered_jsonl(path)]


def lines(rows: Iterable[AnswerRow]) -> str:
    """The text of a predictions.jsonl."""
    return ''.join(json.dumps(row.to_json(), ensure_ascii=False) + '\n' for row in rows)
