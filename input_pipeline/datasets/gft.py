"""Sayette GFT: 96 people in groups of three who meet over a drink, action units coded by frame.

ROOT/GFT/AU_Occurrence/001A.csv       a row a coded frame: its number, then a column an action unit
ROOT/GFT/train.txt, ROOT/GFT/test.txt participants of the owners' split (78 and 18), one id a line
ROOT/GFT/videos/001A.mp4              the owners' videos (any usual suffix)
ROOT/GFT/frames/001A/1.jpg            written from them if it isn't there
ROOT/GFT/faces/001A/1.jpg             ours, optional: frames cropped to the face
ROOT/GFT/landmarks/001A/1.npy         ours, optional

The owners publish the codes as frame-level tables on osf.io/7wcyz and the videos on request. Their
exact folder and column names could not be checked against a copy: the names of the folders above
are ours, and a column may be called AU1, AU01, 'AU 1' or 1. Codes are 1 present and 0 absent;
anything that says "not coded" (9, 99, 999, negative, NaN, empty) leaves the frame out, counted, if
it concerns one of the ten scored action units. Others are read where they have a column.
"""

from __future__ import annotations

import re
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS
from emola_jax.files import paths
from input_pipeline.datasets import checks, label_files, video_frames
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Options, Scan
from input_pipeline.validate import Problem

_FOLDER = 'GFT'
_LABELS = Path(_FOLDER, 'AU_Occurrence')
_SPLITS = ('train', 'test')

SCORED: tuple[int, ...] = (1, 2, 4, 6, 10, 12, 14, 15, 23, 24)
"""The action units that the paper scores; every table has to have them."""

_COLUMN = re.compile(r'(?:au)?[ _]?0*(\d{1,3})', re.IGNORECASE | re.ASCII)
_NOT_CODED = ('9', '99', '999', 'nan', '')

_INSTRUCTIONS = """\
Sayette GFT (Girard et al., FG 2017): the codes are public at https://osf.io/7wcyz (CC-BY 4.0), the
videos are lent for research by the University of Pittsburgh, see the same page. ROOT/GFT needs
AU_Occurrence/<participant>.csv, train.txt and test.txt (the owners' participants, one a line), and
videos/<participant>.* or frames/<participant>/1.jpg, …"""


def missing(root: Path, options: Options) -> list[str]:
    """One line for each of labels, lists and pictures that isn't there."""
    del options
    lines = [
        f"{root / _FOLDER / split}.txt: the participants of GFT's {split} split"
        for split in _SPLITS
        if not (root / _FOLDER / f'{split}.txt').is_file()
    ]
    if not paths.files(root / _LABELS, '.csv'):
        lines.append(f'{root / _LABELS}/*.csv: the codes of GFT')
    if not video_frames.pictures(root / _FOLDER).is_dir() and not _videos(root):
        lines.append(f'{root / _FOLDER}/videos: the videos of GFT')
    return lines


def prepare(root: Path) -> list[Problem]:
    """Writes the frames of the owners' videos, where nobody has yet; returns what is no video."""
    folder = video_frames.pictures(root / _FOLDER)
    if folder.name != 'frames':
        return []
    return video_frames.extract({folder / path.stem: path for path in _videos(root)})


def scan(root: Path, options: Options) -> Scan:
    """A record for every coded frame of the listed participants."""
    found = Scan()
    for split in _SPLITS:
        for participant in _participants(found, root / _FOLDER / f'{split}.txt'):
            _scan_participant(found, root, participant, split, options.frame_step)
    return found


def _scan_participant(found: Scan, root: Path, participant: str, split: str, step: int) -> None:
    path = root / _LABELS / f'{participant}.csv'
    found.label_files += [path] if path.is_file() else []
    try:
        table = label_files.table(path)
        columns = _columns(table.columns)
        if lacking := [f'AU{au}' for au in SCORED if au not in columns]:
            raise UserError(f'{path}: the header lacks a column for {", ".join(lacking)}')
    except UserError as error:
        found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
        return
    folder = video_frames.pictures(root / _FOLDER) / participant
    numbered = video_frames.numbered(folder)
    for row in table.records[::step]:
        labels = _labels(found, f'{path}, line {row.line}', row, columns)
        if labels:
            frame, aus = labels
            found.items.append(
                video_frames.item(
                    root / _FOLDER,
                    numbered.get(frame, folder / f'{frame}.jpg'),
                    id=f'{participant}/{frame}',
                    split=split,
                    subject=participant,
                    aus=aus,
                )
            )


def _participants(found: Scan, path: Path) -> list[str]:
    found.label_files.append(path)
    try:
        return [line for _, line in label_files.lines(path)]
    except UserError as error:
        found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
        return []


def _columns(names: list[str]) -> dict[int, str]:
    """Action unit -> its column's name, after the first column, which numbers the frames."""
    matches = ((_COLUMN.fullmatch(name), name) for name in names[1:])
    numbers = {int(match[1]): name for match, name in matches if match}
    return {au: numbers[au] for au in AU_LISTS['gft'] if au in numbers}


def _labels(
    found: Scan, where: str, row: label_files.Record, columns: dict[int, str]
) -> tuple[int, tuple[int, ...]] | None:
    """Frame number and present action units of a row, or None with the reason in `found`."""
    frame = label_files.whole_number(next(iter(row.cells.values()), ''))
    if frame is None:
        expected = 'expected a frame number and the codes of its action units'
        found.problem(where, checks.BAD_ROW, f'{where}: {row.fault or expected}')
        return None
    codes = {au: row.cells[name].lower() for au, name in columns.items()}
    unknown = [au for au, code in codes.items() if code in _NOT_CODED or code.startswith('-')]
    wrong = {au: code for au, code in codes.items() if code not in ('0', '1') and au not in unknown}
    if wrong:
        listed = ', '.join(f'AU{au} = {code!r}' for au, code in wrong.items())
        message = f'{where}: {listed}; expected 0 (absent), 1 (present) or 9 (not coded)'
        found.problem(where, checks.BAD_LABEL, message)
        return None
    if set(unknown) & set(SCORED):
        found.dropped['an action unit not coded'] += 1
        return None
    return frame, tuple(au for au, code in codes.items() if code == '1')


def _videos(root: Path) -> list[Path]:
    return paths.files(root / _FOLDER / 'videos', *video_frames.VIDEO_SUFFIXES)


DATA_SET = DataSet(
    name='gft',
    title='GFT',
    tasks=('au',),
    splits=_SPLITS,
    train='train',
    evaluated='test',
    au_list='gft',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
    prepare=prepare,
)


class Gft(FaceBuilder):
    """The TFDS builder of GFT."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
