"""Any model's answers as samples to score: a JSON-lines file, or the released script's folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.metrics.sample import Sample, Task

RELEASED_ANSWERS = 'jsons'
"""Where the released script puts one file a sample: image_path, label (the answer!), gt, rouge."""


def read(path: Path, task: Task, annotations: Path | None = None) -> list[Sample]:
    """Reads the samples of `task`.

    Args:
      path: a file with one JSON object a line (fields id, prediction, reference, label; a field
        task, if there is one, selects the lines; others are ignored), or an output folder of the
        released script.
      task: 'emotion' or 'au'.
      annotations: the released annotation file (a list of objects with label and gpt4). The
        script's folder does not hold the reference texts; without them its own ROUGE-L counts.

    Raises:
      UserError: for whatever cannot be read, with file and line.
    """
    if path.is_dir():
        return _released(_answers_folder(path), task, annotations)
    if annotations:
        raise UserError(f'{annotations}: only a folder of the released script needs annotations')
    if not path.is_file():
        raise UserError(f'{path}: no such file; expected a predictions.jsonl or a folder')
    samples: dict[str, Sample] = {}
    for number, row in _rows(path):
        where = f'{path}, line {number}'
        try:
            sample = Sample.from_row(row, task)
        except UserError as error:
            raise UserError(f'{where}: {error}') from None
        if row.get('task', task) != task:
            continue
        if sample.id in samples:
            raise UserError(f'{where}: id {sample.id!r} occurs twice')
        samples[sample.id] = sample
    if not samples:
        raise UserError(f'{path}: no predictions of task {task!r}')
    return list(samples.values())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        row = _json(line, f'{path}, line {number}')
        if not isinstance(row, dict):
            raise UserError(f'{path}, line {number}: expected a JSON object')
        yield number, row


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


def _released(folder: Path, task: Task, annotations: Path | None) -> list[Sample]:
    files = list(folder.glob('*.json'))
    if not files:
        raise UserError(f'{folder}: empty; expected one JSON file a sample')
    for path in files:
        if not path.stem.isdecimal():
            raise UserError(f'{path}: expected a name such as 0.json, the number of the sample')
    references = _references(annotations) if annotations else None
    return [
        _released_sample(path, task, references, annotations)
        for path in sorted(files, key=lambda path: int(path.stem))
    ]


def _released_sample(
    path: Path, task: Task, references: list[dict[str, Any]] | None, annotations: Path | None
) -> Sample:
    item = _json(_text(path), str(path))
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


def _references(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UserError(f'{path}: no such file; expected an annotation file of the release')
    items = _json(_text(path), str(path))
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and {'label', 'gpt4'} <= item.keys() for item in items
    ):
        raise UserError(f"{path}: expected a list of objects with 'label' and 'gpt4'")
    return items


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: not UTF-8 at byte {error.start}') from None
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else 'nested too deep'
        raise UserError(f'{where}: not JSON ({reason})') from None
