"""RAF-DB, its single-label part: seven basic emotions of faces from the web.

ROOT/RAF-DB/basic/EmoLabel/list_patition_label.txt     "train_00001.jpg 5", one a line
ROOT/RAF-DB/basic/Image/aligned/train_00001_aligned.jpg
ROOT/RAF-DB/landmarks/train_00001_aligned.npy          ours, optional

That is how the owners' archive unpacks (the misspelt name is theirs), and as public readers of it
have it; so are the numbers: 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger,
7 neutral. The names of the pictures say the split.
"""

from __future__ import annotations

import re
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from input_pipeline.datasets import checks, label_files, wording
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Item, Options, Scan, landmark_file

_FOLDER = 'RAF-DB'
_LABELS = Path(_FOLDER, 'basic/EmoLabel/list_patition_label.txt')
_PICTURES = Path(_FOLDER, 'basic/Image/aligned')

OWN_EMOTIONS = ('surprise', 'fear', 'disgust', 'happiness', 'sadness', 'anger', 'neutral')
"""The owners' labels, from 1."""

_LINE = re.compile(r'(?P<name>(?P<split>train|test)_\w+)\.jpg\s+(?P<label>\S+)')

_INSTRUCTIONS = """\
RAF-DB (Li, Deng & Du, CVPR 2017): ask its owners for it at http://www.whdeng.cn/RAF/model1.html;
they lend it for research. Unpack the basic (single-label) part and its aligned pictures so that
ROOT/RAF-DB/basic holds EmoLabel/list_patition_label.txt and Image/aligned/*_aligned.jpg."""


def missing(root: Path, options: Options) -> list[str]:
    """One line for the label file or the pictures if they aren't there."""
    del options
    return [
        f'{root / path}: {what} of RAF-DB'
        for path, what in ((_LABELS, 'the labels'), (_PICTURES, 'the aligned pictures'))
        if not (root / path).exists()
    ]


def scan(root: Path, options: Options) -> Scan:
    """One record a line of the label file."""
    del options
    found = Scan(label_files=[root / _LABELS])
    try:
        numbered = list(label_files.lines(root / _LABELS))
    except UserError as error:
        found.problem(str(root / _LABELS), checks.BAD_LABEL_FILE, str(error))
        return found
    for number, line in numbered:
        where = f'{root / _LABELS}, line {number}'
        match = _LINE.fullmatch(line)
        if not match:
            message = (
                f"{where}: expected a picture and its label, 'train_00001.jpg 5', not {line!r}"
            )
            found.problem(where, checks.BAD_ROW, message)
        elif match['label'] not in map(str, range(1, len(OWN_EMOTIONS) + 1)):
            message = f'{where}: the label of {match["name"]} is {match["label"]!r}, expected 1..7'
            found.problem(match['name'], checks.BAD_LABEL, message)
        else:
            found.items.append(_item(root, match))
    return found


def _item(root: Path, match: re.Match[str]) -> Item:
    pictures = root / _PICTURES
    picture = pictures / f'{match["name"]}_aligned.jpg'
    emotion = EMOTIONS.index(OWN_EMOTIONS[int(match['label']) - 1])
    return Item(
        id=match['name'],
        split=match['split'],
        image=str(picture),
        landmarks=landmark_file(root / _FOLDER / 'landmarks', pictures, picture),
        task='emotion',
        instruction=wording.QUESTIONS['emotion'],
        response=wording.emotion_answer(emotion),
        emotion=emotion,
        source=_FOLDER,
    )


DATA_SET = DataSet(
    name='rafdb',
    title='RAF-DB',
    tasks=('emotion',),
    splits=('train', 'test'),
    train='train',
    evaluated='test',
    au_list='',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
)


class Rafdb(FaceBuilder):
    """The TFDS builder of RAF-DB."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
