"""FABA-Instruct as its authors release it: LLaVA-style JSON, pictures and landmark files.

ROOT/FABAInstruct/train/train_{emotion,au}_anno.json   conversations
ROOT/FABAInstruct/eval/eval_{emotion,au}_anno.json     label and annotated description
ROOT/FABAInstruct/{train,eval}/images/…                paths inside the JSON start at ROOT
ROOT/FABAInstruct/{train,eval}/landmarks/….npy         f32[212]

That is the directory tree of the release's README; the fields are those that its training and
evaluation scripts read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS, EMOTIONS, emotion_label
from emola_jax.files import paths
from emola_jax.files.texts import Fields, quoted
from input_pipeline.datasets import checks, llava_json
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Item, ItemSource, Options, Scan
from input_pipeline.datasets.wording import QUESTIONS
from input_pipeline.records import IMAGE_MARK, TASKS, UNLABELLED

SPLITS = ('train', 'eval')

_FOLDER = 'FABAInstruct'
_WITHOUT = {
    'train': 'what is there can be evaluated, nothing can be trained',
    'eval': 'what is there can be trained on, nothing can be evaluated',
}

KNOWN_AUS = AU_LISTS['faba']

_INSTRUCTIONS = """\
FABA-Instruct: its authors release it on the project page of "Facial Affective Behavior Analysis
with Instruction Tuning" (ECCV 2024). Unpack it so that ROOT/FABAInstruct holds train/ and eval/,
each with its *_anno.json files, images/ and landmarks/."""


_READ = {
    'train': ('image', 'landmark', 'conversations', 'id', 'source'),
    'eval': ('image', 'landmark', 'label', 'gpt4', 'id', 'source'),
}
"""Fields of an entry; the first of them are needed, all but the last two."""


def base(root: Path) -> Path:
    """The folder at which the paths inside the JSON start.

    That is ROOT, or ROOT/FABAInstruct where the archive was unpacked into a folder of its own name.
    """
    nested = root / _FOLDER
    is_nested = any((nested / _FOLDER / split).is_dir() for split in SPLITS)
    return nested if is_nested and not any((nested / s).is_dir() for s in SPLITS) else root


def annotation_files(
    root: Path, tasks: tuple[str, ...], splits: Sequence[str] = SPLITS
) -> list[Path]:
    """The JSON files that a run on `tasks` needs."""
    return [
        base(root) / _FOLDER / split / f'{split}_{task}_anno.json'
        for split in splits
        for task in tasks
    ]


def missing(root: Path, options: Options) -> list[str]:
    """One line for each annotation file that isn't there."""
    return [
        f'{path}: annotations of FABA-Instruct'
        for path in annotation_files(root, options.tasks)
        if not path.is_file()
    ]


def partial(root: Path, options: Options) -> list[str]:
    """A line for the split that isn't there where the other one is there whole; else none."""
    there = _splits(root, options)
    return [
        f'{base(root) / _FOLDER / split}: the split {split} is not there; {_WITHOUT[split]}'
        for split in SPLITS
        if len(there) == 1 and split not in there
    ]


def _splits(root: Path, options: Options) -> list[str]:
    """The splits to read: those that are there, or all where one is there in part."""
    there = {
        split: [path.is_file() for path in annotation_files(root, options.tasks, [split])]
        for split in SPLITS
    }
    is_partly = any(any(files) and not all(files) for files in there.values())
    whole = [split for split, files in there.items() if all(files)]
    return list(SPLITS) if is_partly or not whole else whole


def load(root: Path, task: str, split: str) -> ItemSource:
    """A split as records that are read from their files when asked for; nothing is built.

    Raises:
      UserError: a file is no JSON list, or an entry is wrong; all of them are named.
    """
    found = scan(root, Options(task=task))
    if found.problems:
        raise UserError('\n'.join(problem.message for problem in found.problems))
    return ItemSource([item for item in found.items if item.split == split])


def scan(root: Path, options: Options) -> Scan:
    """The records of the wanted tasks, split by split, in the order of the files."""
    found = Scan()
    finder = paths.Finder(base(root))
    for path in annotation_files(root, options.tasks, _splits(root, options)):
        split, task, _ = path.stem.split('_')
        found.label_files.append(path)
        try:
            entries = llava_json.read(path)
        except UserError as error:
            found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
            continue
        for number, entry in enumerate(entries):
            where = f'{path}: entry {number}'
            wrong = list(_faults(entry, task, split, finder))
            for kind, complaint in wrong:
                found.problem(where, kind, f'{where}: {complaint}')
            if not wrong:
                found.items.append(_item(finder, entry, task, split))
        if unread := llava_json.unread_fields(entries, _READ[split]):
            found.notes.append(f'{path}: not read: the field(s) {unread}')
    return found


def _faults(
    entry: object, task: str, split: str, finder: paths.Finder
) -> Iterator[tuple[str, str]]:
    """Kind and description of what is wrong with an entry."""
    needed = _READ[split][:-2]
    faults = list(llava_json.object_faults(entry, needed))
    if isinstance(entry, Fields):
        texts = ('image', 'landmark', 'source', *(('gpt4',) if split == 'eval' else ()))
        faults += llava_json.text_faults(entry, texts)
        faults += llava_json.id_faults(entry)
        faults += llava_json.path_faults(entry, ('image', 'landmark'), finder.path)
        if split == 'train' and 'conversations' in entry:
            faults += llava_json.turn_faults(entry['conversations'], pairs=1)
    yield from ((checks.BAD_ROW, fault) for fault in faults)
    if isinstance(entry, Fields) and split == 'eval' and 'label' in entry:
        yield from _label_faults(entry['label'], task)


def _label_faults(label: object, task: str) -> Iterator[tuple[str, str]]:
    if task == 'au' and not llava_json.is_facs_list(label):
        yield checks.BAD_LABEL, f"has the label {quoted(label)}, expected FACS numbers: '4, 9'"
    if task == 'emotion' and _emotion(label) is None:
        names = ', '.join(EMOTIONS)
        yield checks.BAD_LABEL, f'has the label {quoted(label)}, expected 0..6 or one of {names}'


def _emotion(label: object) -> int | None:
    if isinstance(label, bool) or not isinstance(label, str | int):
        return None
    return emotion_label(quoted(label) if isinstance(label, int) else label)


def _item(finder: paths.Finder, entry: Fields, task: str, split: str) -> Item:
    """The item of an entry without faults. Training entries carry no label."""
    emotion, aus = None, tuple[int, ...]()
    if split == 'train':
        human, answer = entry['conversations']
        instruction = human['value'].replace(IMAGE_MARK, '').strip()
        response = answer['value']
    else:
        instruction, response = QUESTIONS[task], entry['gpt4']
        if task == 'au':
            aus = tuple(int(au) for au in str(entry['label']).split(',') if au.strip())
        else:
            emotion = _emotion(entry['label'])
    return Item(
        id=f'{task}/{entry.get("id", Path(entry["image"]).with_suffix(""))}',
        split=split,
        image=str(finder.path(entry['image'])),
        landmarks=str(finder.path(entry['landmark'])),
        task=task,
        instruction=instruction,
        response=response,
        emotion=UNLABELLED if emotion is None else emotion,
        aus=aus,
        source=entry.get('source', _FOLDER),
    )


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
    partial=partial,
)


class FabaInstruct(FaceBuilder):
    """The TFDS builder of FABA-Instruct."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
