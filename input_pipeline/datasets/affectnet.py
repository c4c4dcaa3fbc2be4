"""AffectNet, its manually annotated part: expressions of faces from the web, in either release.

The 8-label release, pictures cropped to the face:

ROOT/AffectNet/{train_set,val_set}/images/0.jpg
ROOT/AffectNet/{train_set,val_set}/annotations/0_exp.npy     the expression, 0..7

The first release, whole pictures with the face's box; records hold the box:

ROOT/AffectNet/Manually_Annotated_file_lists/{training,validation}.csv
    subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,…
ROOT/AffectNet/Manually_Annotated_Images/<subDirectory_filePath>

ROOT/AffectNet/landmarks/<a picture's path below ROOT/AffectNet>.npy    ours, optional

That is how public readers have both; the 8-label release is taken if its folders are there. The
owners number 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt,
8 none, 9 uncertain, 10 no face. The benchmark has no contempt, so 7 is left out and counted, as are
8 to 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.files import paths
from emola_jax.files.texts import printable
from input_pipeline.arrays import read_array
from input_pipeline.datasets import checks, label_files, wording
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Box, Item, Options, Scan, landmark_file

_FOLDER = 'AffectNet'
_SETS = {'train': 'train_set', 'validation': 'val_set'}
_LISTS = {'train': 'training.csv', 'validation': 'validation.csv'}
_LIST_FOLDER = 'Manually_Annotated_file_lists'
_PICTURES = 'Manually_Annotated_Images'

OWN_EXPRESSIONS = (
    'neutral', 'happiness', 'sadness', 'surprise', 'fear', 'disgust', 'anger', 'contempt',
    'no expression', 'uncertain', 'no face',
)  # fmt: skip
"""The owners' labels, from 0."""

_COLUMNS = ('subDirectory_filePath', 'expression')
_BOX = ('face_x', 'face_y', 'face_width', 'face_height')

_INSTRUCTIONS = """\
AffectNet (Mollahosseini, Hasani & Mahoor, 2017): ask its owners at the University of Denver for it
(http://mohammadmahoor.com/affectnet); they lend it for research. ROOT/AffectNet needs train_set/
and val_set/, each with images/ and annotations/ (the 8-label release), or
Manually_Annotated_file_lists/ and Manually_Annotated_Images/ (the first release)."""


def missing(root: Path, options: Options) -> list[str]:
    """One line for each folder or list that isn't there of the release that is."""
    del options
    folder = root / _FOLDER
    if _is_first_release(folder):
        needed = [folder / _LIST_FOLDER / name for name in _LISTS.values()] + [folder / _PICTURES]
    else:
        needed = [
            folder / name / kind for name in _SETS.values() for kind in ('images', 'annotations')
        ]
    return [f'{path}: AffectNet' for path in needed if not path.exists()]


def scan(root: Path, options: Options) -> Scan:
    """A record for each face with one of the seven expressions."""
    del options
    found, folder = Scan(), root / _FOLDER
    for split in _SETS:
        if _is_first_release(folder):
            _scan_list(found, folder, split)
        else:
            _scan_arrays(found, folder, split)
    return found


def _is_first_release(folder: Path) -> bool:
    has_arrays = any((folder / name).is_dir() for name in _SETS.values())
    return not has_arrays and (folder / _LIST_FOLDER).is_dir()


def _scan_arrays(found: Scan, folder: Path, split: str) -> None:
    annotations = paths.files(folder / _SETS[split] / 'annotations', '.npy')
    of_faces = [path for path in annotations if path.stem.endswith('_exp')]
    for path in sorted(of_faces, key=_number):
        found.label_files.append(path)
        name = printable(path.stem.removesuffix('_exp'))
        try:
            # The owners wrote some as numbers and some as texts.
            label = str(read_array(path).reshape(()))
        except (UserError, ValueError) as error:
            message = f'{path}: expected an array of one label ({error})'
            found.problem(f'{split}/{name}', checks.BAD_ROW, message)
            continue
        emotion = _emotion(found, str(path), label)
        if emotion is not None:
            picture = folder / _SETS[split] / 'images' / f'{path.stem.removesuffix("_exp")}.jpg'
            found.items.append(_item(folder, picture, f'{split}/{name}', emotion, None))


def _scan_list(found: Scan, folder: Path, split: str) -> None:
    path = folder / _LIST_FOLDER / _LISTS[split]
    found.label_files.append(path)
    try:
        rows = label_files.table(path, (*_COLUMNS, *_BOX)).records
    except UserError as error:
        found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
        return
    finder = paths.Finder(folder / _PICTURES)
    for row in rows:
        where = f'{path}, line {row.line}'
        name = row.cells.get('subdirectory_filepath', '')
        if not name:
            expected = 'names no picture; expected one, the box of its face and an expression'
            found.problem(where, checks.BAD_ROW, f'{where}: {row.fault or expected}')
            continue
        emotion = _emotion(found, where, row.cells['expression'])
        if emotion is None:
            continue
        try:
            picture = finder.path(name)
        except UserError as error:
            found.problem(where, checks.BAD_ROW, f'{where}: the picture is {error}')
            continue
        box = _box(found, where, row.cells)
        if box:
            found.items.append(
                _item(folder, picture, f'{split}/{finder.key(picture)}', emotion, box)
            )


def _box(found: Scan, where: str, cells: Mapping[str, str]) -> Box | None:
    """The box of a face, or None with the reason in `found`. Whether it fits, its picture says."""
    texts = [cells[column] for column in _BOX]
    numbers = [number for text in texts if (number := label_files.whole_number(text)) is not None]
    if len(numbers) < len(_BOX):  # they are, where there is a face
        message = f"{where}: the face's box is {texts}, expected four whole numbers, none below 0"
        found.problem(where, checks.BAD_BOX, message)
        return None
    left, top, width, height = numbers
    if not width or not height:
        message = f"{where}: the face's box is {width} x {height} pixels, expected at least 1 x 1"
        found.problem(where, checks.BAD_BOX, message)
        return None
    return left, top, width, height


def _emotion(found: Scan, where: str, label: str) -> int | None:
    """Our label of the owners' expression, or None with the reason in `found`."""
    if label not in map(str, range(len(OWN_EXPRESSIONS))):
        message = f'{where}: the expression is {label!r}, expected 0..{len(OWN_EXPRESSIONS) - 1}'
        found.problem(where, checks.BAD_LABEL, message)
        return None
    expression = OWN_EXPRESSIONS[int(label)]
    if expression not in EMOTIONS:
        found.dropped[expression] += 1
        return None
    return EMOTIONS.index(expression)


def _item(folder: Path, picture: Path, key: str, emotion: int, box: Box | None) -> Item:
    return Item(
        id=key,
        split=key.partition('/')[0],
        image=str(picture),
        landmarks=landmark_file(folder / 'landmarks', folder, picture),
        task='emotion',
        instruction=wording.QUESTIONS['emotion'],
        response=wording.emotion_answer(emotion),
        emotion=emotion,
        source=_FOLDER,
        box=box,
    )


def _number(path: Path) -> tuple[int, str]:
    """Sorts 2_exp.npy before 10_exp.npy."""
    return len(path.name), path.name


DATA_SET = DataSet(
    name='affectnet',
    title='AffectNet',
    tasks=('emotion',),
    splits=tuple(_SETS),
    train='train',
    evaluated='validation',
    au_list='',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
)


class Affectnet(FaceBuilder):
    """The TFDS builder of AffectNet."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
