"""The answers of an evaluation on disk: appended as they come, merged at the end, never redone.

Each host appends its answers, a batch at a time, to a file of its own in `answers/`. When all are
there, host 0 merges them into predictions.jsonl in the order of the split and removes the folder.
So all hosts must see the same file system.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from emola_jax.errors import UserError
from emola_jax.evaluation.questions import Question
from emola_jax.experiment.run_checksums import PARTS_FOLDER
from emola_jax.files.json_values import JsonObject, count, field
from emola_jax.files.whole import (
    drop_torn_line,
    naming,
    numbered_jsonl,
    read_json,
    write_json,
    write_text,
)
from emola_jax.metrics import answer_row
from emola_jax.metrics.answer_row import AnswerRow

PREDICTIONS_FILE = 'predictions.jsonl'


def answered(folder: Path, questions: Sequence[Question], identity: JsonObject) -> set[int]:
    """Indices of the questions that an earlier start of this very evaluation has answered.

    The answers of any other evaluation are removed. For host 0 only, before the others write.

    Args:
      folder: where predictions.jsonl goes.
      questions: all of them, in the order of the split.
      identity: JSON-able; what the answers depend on besides the parameters' values.
    """
    stamp = (folder / PREDICTIONS_FILE).with_suffix('.run.json')
    if not stamp.exists() or read_json(stamp) != identity:
        stamp.unlink(missing_ok=True)
        (folder / PREDICTIONS_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / PARTS_FOLDER, ignore_errors=True)
        write_json(stamp, identity)
        return set()
    if is_complete(folder, questions):
        return {question.index for question in questions}
    return set(_parts(folder))


def is_complete(folder: Path, questions: Sequence[Question]) -> bool:
    """Whether predictions.jsonl answers exactly `questions`; a damaged one does not."""
    try:
        found = [(row.task, row.id) for row in answer_row.read(folder / PREDICTIONS_FILE)]
    except UserError:
        return False
    return found == [(question.task, question.id) for question in questions]


class Part:
    """The file that one host appends its answers to; a context manager."""

    def __init__(self, folder: Path, host: int):
        """Opens it after the last whole line."""
        path = folder / PARTS_FOLDER / f'host{host}.jsonl'
        path.parent.mkdir(exist_ok=True)
        drop_torn_line(path)
        self._path, self._file = path, path.open('a', encoding='utf-8')

    def __enter__(self) -> Part:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        with naming(self._path):
            self._file.close()

    def append(self, rows: Mapping[int, AnswerRow]) -> None:
        """Writes answers by the index of their question; they are on disk when it returns."""
        numbered = ({'index': i, **row.to_json()} for i, row in rows.items())
        lines = [json.dumps(row, ensure_ascii=False) + '\n' for row in numbered]
        # One write per batch: a kill leaves whole lines, or a tail that the next start cuts off.
        with naming(self._path):
            self._file.write(''.join(lines))
            self._file.flush()
            os.fsync(self._file.fileno())


def merge(folder: Path, questions: Sequence[Question]) -> list[AnswerRow]:
    """Writes predictions.jsonl from the parts of all hosts, in the order of `questions`.

    Does nothing where it is whole already. For host 0, after the last answer of all hosts.

    Returns:
      The rows of predictions.jsonl.

    Raises:
      UserError: answers are missing.
    """
    path = folder / PREDICTIONS_FILE
    if not is_complete(folder, questions):
        parts = _parts(folder)
        missing = [question.id for question in questions if question.index not in parts]
        if missing:
            raise UserError(
                f'{folder / PARTS_FOLDER}: lacks {len(missing)} of {len(questions)} answers, the '
                f'first to {missing[0]!r}; expected those of every host, so --workdir must lie on '
                'a file system that all hosts share'
            )
        write_text(path, answer_row.lines(parts[question.index] for question in questions))
    shutil.rmtree(folder / PARTS_FOLDER, ignore_errors=True)
    return answer_row.read(path)


def _parts(folder: Path) -> dict[int, AnswerRow]:
    """Whole lines of every host's part, by question; a batch that was redone counts as redone."""
    found: dict[int, AnswerRow] = {}
    for path in sorted((folder / PARTS_FOLDER).glob('host*.jsonl')):
        try:
            for where, row in numbered_jsonl(path):
                found[field(row, 'index', count, where)] = AnswerRow.from_json(row, where)
        except UserError as error:
            raise UserError(
                f'{path}: expected one answer a line, as an evaluation writes them ({error}); '
                'remove the file to have them written again'
            ) from None
    return found
