"""A user's own photos with a table of labels.

ROOT/labels.csv (or .tsv, .jsonl)    a row a photo, see below
ROOT/…                               the photos, and landmark files where there are any

Columns, or keys of JSON objects, in any case and order; only the first is needed:

    file            the photo, below ROOT (also: image, path, filename)
    emotion         happiness, sadness, surprise, anger, neutral, disgust, fear, or its number 0..6
    aus             FACS numbers, '4, 9' or 'AU4 AU9' (a list in JSON); 'none' for a face at rest
    description     the answer to learn or to compare with; without one the label in words. Where a
                    photo has both labels: emotion_description, au_description
    instruction     the question; without one, the released evaluation's
    landmarks       a .npy of 212 numbers below ROOT; without one, ROOT/landmarks/<photo>.npy or
                    <photo>.npy beside the photo, if there
    split           a name such as train or eval; without the column, about one photo in five is
                    'eval', all photos of a person together
    subject         who it is; nobody may be in two splits
    id              unique; without one, the file's name
    task            'emotion' or 'au', where a photo has a description and no label

A row without either label and without a description is an error, as is any value that isn't one of
the above: nothing is guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES, EMOTIONS, emotion_label
from emola_jax.files import paths
from emola_jax.files.json_values import JsonObject
from emola_jax.files.texts import Fields, is_text, parse_fields, printable, quoted, read_text
from input_pipeline.datasets import checks, label_files, llava_json, wording
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Item, Options, Scan, landmark_file
from input_pipeline.records import TASKS, UNLABELLED

_NAMES = ('labels.csv', 'labels.tsv', 'labels.jsonl')
_FILE_COLUMNS = ('file', 'image', 'path', 'filename')
_TEXT_COLUMNS = (
    'emotion', 'description', 'emotion_description', 'au_description', 'instruction', 'landmarks',
    'split', 'subject', 'id', 'task',
)  # fmt: skip
_COLUMNS = {*_FILE_COLUMNS, *_TEXT_COLUMNS, 'aus'}
_ANSWER_COLUMNS = {'emotion', 'aus', 'description'}
_EVALUATED_SHARE = 5
_AUS = re.compile(r'(?:AU\s*)?\d{1,3}(?:[,;\s]+(?:AU\s*)?\d{1,3})*', re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r'\d+')
_SPLIT = re.compile(r'[a-z]\w*')
_AT_REST = ('none', '-')

_INSTRUCTIONS = """\
your own photos: put them below ROOT with a table ROOT/labels.csv (or .tsv, .jsonl), a row a photo,
with at least the columns file and emotion or aus. docs/datasets.md lists all columns."""


def missing(root: Path, options: Options) -> list[str]:
    """One line if there is no label file."""
    try:
        path = label_file(root, options)
    except UserError as error:
        return [str(error)]
    return [] if path.is_file() else [f'{path}: the label file']


def label_file(root: Path, options: Options) -> Path:
    """The label file that is named, or the one that is there.

    Raises:
      UserError: several are there.
    """
    if options.labels:
        return root / Path(options.labels).expanduser()
    there = [root / name for name in _NAMES if (root / name).is_file()]
    if len(there) > 1:
        names = ', '.join(path.name for path in there)
        raise UserError(f'{root}: has {names}; say which is meant (--labels)')
    return there[0] if there else root / _NAMES[0]


def scan(root: Path, options: Options) -> Scan:
    """One record a row and label, of the wanted tasks."""
    path = label_file(root, options)
    found = Scan(label_files=[path])
    try:
        table = _json_table(path) if path.suffix.lower() == '.jsonl' else label_files.table(path)
    except UserError as error:
        found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
        return found
    columns = set(table.columns)
    if not columns & set(_FILE_COLUMNS) or not columns & _ANSWER_COLUMNS:
        message = (
            f"{path}: expected a column 'file' and 'emotion', 'aus' or 'description'; found "
            f'{", ".join(filter(None, table.columns)) or "nothing"}'
        )
        found.problem(str(path), checks.BAD_LABEL_FILE, message)
        return found
    if unread := sorted(filter(None, columns - _COLUMNS)):
        found.notes.append(f'{path}: not read: the column(s) {", ".join(map(printable, unread))}')
    finder = paths.Finder(root)
    for row in table.records:
        where = f'{path}, line {row.line}'
        wrong = list(_faults(row, finder))
        for kind, complaint in wrong:
            found.problem(where, kind, f'{where}: {complaint}')
        if not wrong:
            tasks = (task for task in _tasks(row.cells) if task in options.tasks)
            found.items += [_item(root, finder, row.cells, task) for task in tasks]
    return found


def _json_table(path: Path) -> label_files.Table:
    """One object a line as a table: cells are whatever JSON values they are."""
    if llava_json.is_list(read_text(path)):
        raise UserError(f'{path}: is one JSON list; expected one JSON object a line, no commas')
    records = [_json_record(number, line) for number, line in label_files.lines(path)]
    if not records:
        raise UserError(f'{path}: expected one JSON object a line, found nothing')
    columns = list(dict.fromkeys(name for record in records for name in record.cells))
    if not columns:
        raise UserError(f'{path}, line {records[0].line}: {records[0].fault}')
    return label_files.Table(columns, records)


def _json_record(number: int, line: str) -> label_files.Record:
    try:
        row = parse_fields(line, 'the line')
    except UserError as error:
        return label_files.Record(number, {}, str(error).removeprefix('the line: '))
    if not isinstance(row, Fields):
        return label_files.Record(number, {}, f'expected a JSON object, found {quoted(row)}')
    names = [name.lower() for name in row]
    cells = dict(zip(names, row.values(), strict=True))
    twice = [*row.repeated, *(name for name in cells if names.count(name) > 1)]
    return label_files.Record(
        number, cells, f'has the field {quoted(twice[0])} twice' if twice else ''
    )


def _faults(record: label_files.Record, finder: paths.Finder) -> Iterator[tuple[str, str]]:
    """Kind and description of what is wrong with a row."""
    row = record.cells
    if record.fault:
        yield checks.BAD_ROW, record.fault
        return
    if wrong := next((f for f in (*_FILE_COLUMNS, *_TEXT_COLUMNS) if not _fits(row.get(f))), None):
        yield checks.BAD_ROW, f'{wrong} is {quoted(row[wrong])}, expected a text'
        return
    if not _file(row):
        yield checks.BAD_ROW, 'names no file'
        return
    for what, name in (('file', _file(row)), ('landmark file', _text(row, 'landmarks'))):
        try:
            if name:
                finder.path(name)
        except UserError as error:
            yield checks.BAD_ROW, f'the {what} is {error}'
    yield from _label_faults(row)


def _label_faults(row: JsonObject) -> Iterator[tuple[str, str]]:
    emotion, aus, task = _text(row, 'emotion'), row.get('aus'), _text(row, 'task')
    if emotion and emotion_label(emotion) is None:
        names = ', '.join(EMOTIONS)
        yield checks.BAD_LABEL, f'the emotion is {quoted(emotion)}, expected 0..6 or one of {names}'
    if _has_aus(row) and (numbers := _aus(aus)) is None:
        complaint = f"aus is {quoted(aus)}, expected FACS numbers such as '4, 9', or 'none'"
        yield checks.BAD_LABEL, complaint
    elif _has_aus(row) and (unknown := sorted(set(numbers or ()) - AU_NAMES.keys())):
        yield (
            checks.BAD_LABEL,
            f'aus has {unknown}, which are no action units that have a name here',
        )
    if task and task not in TASKS:
        yield checks.BAD_LABEL, f'the task is {quoted(task)}, expected one of {TASKS}'
    if not _tasks(row):
        yield checks.BAD_ROW, 'has no label; expected an emotion, aus, or a description and a task'
    if _text(row, 'description') and len(_tasks(row)) > 1:
        yield (
            checks.BAD_ROW,
            'has both labels and one description; expected emotion_description, au_description',
        )
    if (split := _text(row, 'split')) and not _SPLIT.fullmatch(split):
        yield checks.BAD_LABEL, f"the split is {quoted(split)}, expected a name such as 'train'"


def _fits(value: object) -> bool:
    """Whether a value of a table or of JSON can be taken as a text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or is_text(value) or is_number


def _item(root: Path, finder: paths.Finder, row: JsonObject, task: str) -> Item:
    """The item of a row without faults."""
    picture = finder.path(_file(row))
    emotion = emotion_label(_text(row, 'emotion')) if _text(row, 'emotion') else None
    aus = tuple(_aus(row['aus']) or ()) if _has_aus(row) else ()
    key = _text(row, 'id') or printable(finder.key(picture))
    subject = _text(row, 'subject')
    described = _text(row, f'{task}_description') or _text(row, 'description')
    if not described and task == 'au':
        described = wording.au_answer(aus)
    elif not described and emotion is not None:
        described = wording.emotion_answer(emotion)
    given = _text(row, 'landmarks')
    return Item(
        id=f'{key}/{task}' if len(_tasks(row)) > 1 else key,
        split=_text(row, 'split') or _drawn_split(subject or key),
        image=str(picture),
        landmarks=str(finder.path(given))
        if given
        else landmark_file(root / 'landmarks', root, picture),
        task=task,
        instruction=_text(row, 'instruction') or wording.QUESTIONS[task],
        response=described,
        emotion=UNLABELLED if emotion is None else emotion,
        aus=aus,
        source=printable(root.resolve().name),
        subject=subject,
    )


def _tasks(row: JsonObject) -> list[str]:
    """The tasks that a row has an answer for."""
    labelled = [
        task for task, has in (('emotion', _text(row, 'emotion')), ('au', _has_aus(row))) if has
    ]
    named = _text(row, 'task')
    if named:
        has_text = _text(row, 'description') or _text(row, f'{named}_description')
        return [named] if named in labelled or has_text else []
    return labelled


def _text(row: JsonObject, name: str) -> str:
    value = row.get(name)
    return '' if value is None else str(value).strip()


def _file(row: JsonObject) -> str:
    return next(filter(None, (_text(row, name) for name in _FILE_COLUMNS)), '')


def _has_aus(row: JsonObject) -> bool:
    """An empty list says that none is active, an empty cell that nobody looked."""
    value = row.get('aus')
    return isinstance(value, list) or (value is not None and str(value).strip() != '')


def _aus(value: object) -> list[int] | None:
    """FACS numbers of a cell or a JSON list, or None if it is something else."""
    text = ', '.join(map(str, value)) if isinstance(value, list) else str(value).strip()
    if not text or text.lower() in _AT_REST:
        return []
    return [int(number) for number in _NUMBER.findall(text)] if _AUS.fullmatch(text) else None


def _drawn_split(key: str) -> str:
    drawn = hashlib.sha256(key.encode()).digest()[0] % _EVALUATED_SHARE
    return 'eval' if drawn == 0 else 'train'


DATA_SET = DataSet(
    name='folder',
    title='your own photos',
    tasks=TASKS,
    splits=('train', 'eval'),
    train='train',
    evaluated='eval',
    au_list='',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
)


class Folder(FaceBuilder):
    """The TFDS builder of a user's own photos."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
