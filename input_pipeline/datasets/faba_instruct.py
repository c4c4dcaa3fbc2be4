"""FABA-Instruct as its authors release it: LLaVA-style JSON, pictures and landmark files.

ROOT/FABAInstruct/train/train_{emotion,au}_anno.json   conversations
ROOT/FABAInstruct/eval/eval_{emotion,au}_anno.json     label and annotated description
ROOT/FABAInstruct/{train,eval}/images/…                paths inside the JSON start at ROOT
ROOT/FABAInstruct/{train,eval}/landmarks/….npy         f32[212]

That is the directory tree of the release's README; the fields are those that its training and
evaluation scripts read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS, EMOTIONS, emotion_label
from input_pipeline.datasets import checks, tables
from input_pipeline.datasets.answers import QUESTIONS
from input_pipeline.datasets.items import Item, ItemSource, Options, Scan
from input_pipeline.datasets.manual import FaceBuilder
from input_pipeline.datasets.plan import DataSet
from input_pipeline.records import IMAGE_MARK, TASKS, UNLABELLED

SPLITS = ('train', 'eval')

KNOWN_AUS = AU_LISTS['faba']

_INSTRUCTIONS = """\
FABA-Instruct: its authors release it on the project page of "Facial Affective Behavior Analysis
with Instruction Tuning" (ECCV 2024). Unpack it so that ROOT/FABAInstruct holds train/ and eval/,
each with its *_anno.json files, images/ and landmarks/."""


def annotation_files(root: Path, tasks: tuple[str, ...]) -> list[Path]:
    """The JSON files that a run on `tasks` needs."""
    return [
        root / 'FABAInstruct' / split / f'{split}_{task}_anno.json'
        for split in SPLITS
        for task in tasks
    ]


def missing(root: Path, options: Options) -> list[str]:
    """One line for each annotation file that isn't there."""
    return [
        f'{path}: annotations of FABA-Instruct'
        for path in annotation_files(root, options.tasks)
        if not path.is_file()
    ]


def load(root: Path, task: str, split: str) -> ItemSource:
    """A split as records that are read from their files when asked for; nothing is built.

    Raises:
      UserError: a file is no JSON list, or an entry lacks a field; all of them are named.
    """
    found = scan(root, Options(task=task))
    if found.problems:
        raise UserError('\n'.join(problem.message for problem in found.problems))
    return ItemSource([item for item in found.items if item.split == split])


def scan(root: Path, options: Options) -> Scan:
    """The records of the wanted tasks, split by split, in the order of the files."""
    found = Scan()
    for path in annotation_files(root, options.tasks):
        split, task, _ = path.stem.split('_')
        found.label_files.append(path)
        try:
            entries = json.loads(tables.read_text(path))
            if not isinstance(entries, list):
                raise UserError(f'found a {type(entries).__name__}')
        except (UserError, json.JSONDecodeError) as error:
            message = f'{path}: expected a JSON list of examples ({error})'
            found.problem(str(path), checks.BAD_LABEL_FILE, message)
            continue
        for number, entry in enumerate(entries):
            where = f'{path}: entry {number}'
            wrong = list(_faults(entry, task, split))
            for kind, complaint in wrong:
                found.problem(where, kind, f'{where} {complaint}')
            if not wrong:
                found.items.append(_item(root, entry, task, split))
    return found


def _faults(entry: Any, task: str, split: str) -> Iterator[tuple[str, str]]:
    """Kind and description of what is wrong with an entry."""
    needed = ('image', 'landmark') + (('conversations',) if split == 'train' else ('label', 'gpt4'))
    if not isinstance(entry, dict):
        yield checks.BAD_ROW, f'is {entry!r}, expected an object'
    elif lacking := [field for field in needed if field not in entry]:
        yield checks.BAD_ROW, f'lacks the field(s) {", ".join(lacking)}'
    elif split == 'train':
        speakers = [turn.get('from') for turn in entry['conversations']]
        if speakers != ['human', 'gpt']:
            yield (
                checks.BAD_ROW,
                f"has turns from {speakers}, expected one from 'human' and one from 'gpt'",
            )
    elif task == 'au' and not all(au.strip().isdigit() for au in _listed(entry['label'])):
        yield checks.BAD_LABEL, f"has the label {entry['label']!r}, expected FACS numbers: '4, 9'"
    elif task == 'emotion' and emotion_label(entry['label']) is None:
        names = ', '.join(EMOTIONS)
        yield checks.BAD_LABEL, f'has the label {entry["label"]!r}, expected 0..6 or one of {names}'


def _item(root: Path, entry: dict[str, Any], task: str, split: str) -> Item:
    """The item of an entry without faults. Training entries carry no label."""
    emotion, aus = None, tuple[int, ...]()
    if split == 'train':
        human, answer = entry['conversations']
        instruction = human['value'].replace(IMAGE_MARK, '').strip()
        response = answer['value']
    else:
        instruction, response = QUESTIONS[task], entry['gpt4']
        if task == 'au':
            aus = tuple(int(au) for au in _listed(entry['label']))
        else:
            emotion = emotion_label(entry['label'])
    return Item(
        id=f'{task}/{entry.get("id", Path(entry["image"]).with_suffix(""))}',
        split=split,
        image=str(root / entry['image']),
        landmarks=str(root / entry['landmark']),
        task=task,
        instruction=instruction,
        response=response,
        emotion=UNLABELLED if emotion is None else emotion,
        aus=aus,
        source=entry.get('source', 'FABAInstruct'),
    )


def _listed(label: Any) -> list[str]:
    return [au for au in str(label).split(',') if au.strip()]


DATA_SET = DataSet(
    name='faba_instruct',
    title='FABA-Instruct',
    tasks=TASKS,
    splits=SPLITS,
    train='train',
    evaluated='eval',
    au_list='faba',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
)


class FabaInstruct(FaceBuilder):
    """The TFDS builder of FABA-Instruct."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
