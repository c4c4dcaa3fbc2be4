"""Answers of any model as samples to score: a JSON-lines file, or the released script's folder."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files import checksums, json_lines, paths
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import parse_json, read_bytes
from emola_jax.metrics.sample import Sample, Task

RELEASED_ANSWERS = 'jsons'
"""Where the released script puts one file a sample: image_path, label (the answer!), gt, rouge."""

_LISTED = 5


@dataclasses.dataclass(frozen=True)
class Answers:
    """Samples to score.

    Attributes:
      samples: in the order of their files.
      notes: sentences on answers that are missing or were given again.
    """

    samples: list[Sample]
    notes: tuple[str, ...] = ()


def read(path: Path, task: Task, annotations: Path | None = None) -> list[Sample]:
    """The samples of `load`.

    Raises:
      UserError: as there.
    """
    return load(path, task, annotations).samples


def load(path: Path, task: Task, annotations: Path | None = None) -> Answers:
    """Reads the samples of `task`.

    Args:
      path: a file with one JSON object a line, or a JSON list of them (fields id, prediction,
        reference, label; a field task, if there is one, selects the objects; others are ignored),
        or an output folder of the released script.
      task: 'emotion' or 'au'.
      annotations: the released annotation file (a list of objects with label and gpt4). The
        script's folder does not hold the reference texts; without them its own ROUGE-L counts. It
        also says how many answers there should be: those that a crashed run lacks count as empty.

    Raises:
      UserError: for whatever cannot be read, with file and line.
    """
    if path.is_dir():
        return _released(_answers_folder(path), task, annotations)
    if annotations:
        raise UserError(f'{annotations}: only a folder of the released script needs annotations')
    if not path.is_file():
        raise UserError(f'{path}: no such file; expected a predictions.jsonl or a folder')
    checksums.check_file(path)
    samples: dict[str, Sample] = {}
    repeated = 0
    for where, row in json_lines.rows(path):
        try:
            sample = Sample.from_row(row, task)
        except UserError as error:
            raise UserError(f'{where}: {error}') from None
        if row.get('task', task) != task:
            continue
        if samples.setdefault(sample.id, sample) != sample:
            raise UserError(f'{where}: id {sample.id!r} occurs twice, with different contents')
        if samples[sample.id] is not sample:
            repeated += 1
    if not samples:
        raise UserError(f'{path}: no predictions of task {task!r}')
    notes = (f'{path}: {repeated} answers are there again, word for word; each counts once',)
    return Answers(list(samples.values()), notes if repeated else ())


def _answers_folder(path: Path) -> Path:
    """The one jsons/ folder in `path` or below it, since the script nests model and data set."""
    if path.name == RELEASED_ANSWERS:
        return path
    found = [folder for folder in sorted(path.rglob(RELEASED_ANSWERS)) if folder.is_dir()]
    if not found:
        raise UserError(f'{path}: no folder {RELEASED_ANSWERS}/; expected the released output')
    if len(found) > 1:
        names = ', '.join(str(folder.parent.relative_to(path)) for folder in found)
        raise UserError(f'{path}: holds several runs ({names}); name one of them')
    return found[0]


def _released(folder: Path, task: Task, annotations: Path | None) -> Answers:
    files = _numbered(folder)
    references = _references(annotations) if annotations else None
    answered = {
        number: _released_sample(path, task, references, annotations)
        for number, path in files.items()
    }
    if references is None:
        return Answers(list(answered.values()), _gaps(folder, list(files)))
    unanswered = [number for number in range(len(references)) if number not in answered]
    empty = {number: _unanswered(number, references, task, annotations) for number in unanswered}
    notes = (
        f'{folder}: {len(answered)} of {len(references)} answered; the other {len(unanswered)} '
        'count as empty answers, which are wrong',
    )
    both = answered | empty
    return Answers([both[number] for number in sorted(both)], notes if unanswered else ())


def _numbered(folder: Path) -> dict[int, Path]:
    """Number of the sample -> its file, in order.

    Raises:
      UserError: there is none, a file has another name, or two have one number.
    """
    found: dict[int, Path] = {}
    for path in paths.files(folder, '.json'):
        if not path.stem.isdecimal():
            raise UserError(f'{path}: expected a name such as 0.json, the number of the sample')
        if found.setdefault(int(path.stem), path) != path:
            raise UserError(f'{path}: is sample {int(path.stem)}, as {found[int(path.stem)].name}')
    if not found:
        raise UserError(f'{folder}: empty; expected one JSON file a sample')
    return dict(sorted(found.items()))


def _gaps(folder: Path, numbers: Sequence[int]) -> tuple[str, ...]:
    """A sentence on numbers that are left out, which the script does not do unless it crashed."""
    there, count = set(numbers), numbers[-1] + 1 - len(numbers)
    if not count:
        return ()
    missing = (number for number in range(numbers[-1]) if number not in there)
    names = ', '.join(f'{number}.json' for number in itertools.islice(missing, _LISTED))
    more = ', …' if count > _LISTED else ''
    return (
        f'{folder}: {len(numbers)} answers are numbered up to {numbers[-1]}; {count} are '
        f'missing ({names}{more}) and not scored; give --annotations to count them as wrong',
    )


def _unanswered(
    number: int, references: list[JsonObject], task: Task, annotations: Path | None
) -> Sample:
    entry = references[number]
    row = {
        'id': str(number),
        'prediction': '',
        'reference': entry['gpt4'],
        'label': entry['label'],
    }
    try:
        return Sample.from_row(row, task)
    except UserError as error:
        raise UserError(f'{annotations}: entry {number}: {error}') from None


def _released_sample(
    path: Path, task: Task, references: list[JsonObject] | None, annotations: Path | None
) -> Sample:
    item = parse_json(read_bytes(path), str(path))
    for field in ('label', 'gt', 'rouge'):
        if not isinstance(item, dict) or field not in item:
            raise UserError(f'{path}: field {field!r} is missing; the released script writes it')
    rouge_l = item['rouge']
    if isinstance(rouge_l, bool) or not isinstance(rouge_l, int | float) or not 0 <= rouge_l <= 1:
        raise UserError(f'{path}: rouge is {rouge_l!r}, expected a number from 0 to 1')
    row = {'id': path.stem, 'prediction': item['label'], 'reference': '', 'label': item['gt']}
    if references is not None:
        index = int(path.stem)
        if index >= len(references) or str(references[index]['label']) != str(item['gt']):
            raise UserError(
                f'{path}: label {item["gt"]!r} is not that of {annotations}, no. {index}'
            )
        row['reference'] = references[index]['gpt4']
    try:
        return Sample.from_row(row, task, rouge_l=None if references is not None else rouge_l)
    except UserError as error:
        raise UserError(f'{path}: {error}') from None


def _references(path: Path) -> list[JsonObject]:
    if not path.is_file():
        raise UserError(f'{path}: no such file; expected an annotation file of the release')
    items = parse_json(read_bytes(path), str(path))
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and {'label', 'gpt4'} <= item.keys() for item in items
    ):
        raise UserError(f"{path}: expected a list of objects with 'label' and 'gpt4'")
    return items
