"""BP4D-Spontaneous: 41 people, eight tasks each, action units coded frame by frame.

ROOT/BP4D/AUCoding/AU_OCC/F001_T1.csv         a row a coded frame: number, then an AU a column
ROOT/BP4D/Sequences(2D+3D)/F001/T1/2440.jpg   the owners' frames; numbers in 3 or 4 digits
ROOT/BP4D/faces/F001/T1/2440.jpg              ours, optional: the frames cropped to the face
ROOT/BP4D/landmarks/F001/T1/2440.npy          ours, optional

The first row of a CSV file numbers its columns, so that column 12 is AU12; 1 is present, 0 absent,
9 not coded (as public readers of it have it, those of ME-GraphAU and JAA-Net among them). A frame
with one of the twelve scored action units not coded is left out and counted.
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
from input_pipeline.datasets.folds import Parts, part_of
from input_pipeline.datasets.items import Options, Scan

_FOLDER = 'BP4D'
_LABELS = Path(_FOLDER, 'AUCoding/AU_OCC')
_FRAMES = 'Sequences(2D+3D)'

PARTS: Parts = {
    'part1': (
        'F001', 'F002', 'F008', 'F009', 'F010', 'F016', 'F018', 'F023', 'M001', 'M004', 'M007',
        'M008', 'M012', 'M014',
    ),
    'part2': (
        'F003', 'F005', 'F011', 'F013', 'F020', 'F022', 'M002', 'M005', 'M010', 'M011', 'M013',
        'M016', 'M017', 'M018',
    ),
    'part3': (
        'F004', 'F006', 'F007', 'F012', 'F014', 'F015', 'F017', 'F019', 'F021', 'M003', 'M006',
        'M009', 'M015',
    ),
}  # fmt: skip
"""Subjects of the three folds, the same in the published lists of JAA-Net (Shao et al., ECCV 2018)
and of ME-GraphAU (Luo et al., IJCAI 2022)."""

_AUS = AU_LISTS['bp4d']
_NAME = re.compile(r'(?P<subject>[FM]\d{3})_(?P<task>T\d)')
_NOT_CODED = '9'

_INSTRUCTIONS = """\
BP4D-Spontaneous (Zhang et al., 2014): ask its owners at Binghamton University for it
(http://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html); they lend it for research.
ROOT/BP4D needs AUCoding/AU_OCC/*.csv and the 2D pictures under 'Sequences(2D+3D)'."""


def missing(root: Path, options: Options) -> list[str]:
    """One line for the labels or the frames if they aren't there."""
    del options
    lines = []
    if not paths.files(root / _LABELS, '.csv'):
        lines.append(f'{root / _LABELS}/*.csv: the occurrence codes of BP4D')
    if not video_frames.pictures(root / _FOLDER, _FRAMES).is_dir():
        lines.append(f'{root / _FOLDER / _FRAMES}: the frames of BP4D')
    return lines


def scan(root: Path, options: Options) -> Scan:
    """A record for every coded frame, by subject, task and frame."""
    found = Scan()
    for path in paths.files(root / _LABELS, '.csv'):
        found.label_files.append(path)
        match = _NAME.fullmatch(path.stem)
        part = part_of(match['subject'], PARTS) if match else None
        if not match or not part:
            message = f'{path}: expected SUBJECT_TASK.csv of one of the 41 subjects, F001_T1.csv'
            found.problem(str(path), checks.UNKNOWN_SUBJECT, message)
            continue
        try:
            table = label_files.table(path, map(str, _AUS))
        except UserError as error:
            found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
            continue
        subject, task = match['subject'], match['task']
        folder = video_frames.pictures(root / _FOLDER, _FRAMES) / subject / task
        numbered = video_frames.numbered(folder)
        for row in table.records[:: options.frame_step]:
            frame = label_files.whole_number(row.cells.get(table.columns[0], ''))
            where = f'{path}, line {row.line}'
            if frame is None:
                expected = 'expected a frame number and the codes of its action units'
                found.problem(where, checks.BAD_ROW, f'{where}: {row.fault or expected}')
                continue
            codes = {au: row.cells[str(au)] for au in _AUS}
            if _is_coded(found, where, codes):
                found.items.append(
                    video_frames.item(
                        root / _FOLDER,
                        numbered.get(frame, folder / f'{frame}.jpg'),
                        id=f'{subject}/{task}/{frame}',
                        split=part,
                        subject=subject,
                        aus=tuple(au for au in _AUS if codes[au] == '1'),
                        own=_FRAMES,
                    )
                )
    return found


def _is_coded(found: Scan, where: str, codes: dict[int, str]) -> bool:
    """Whether a frame has all its labels; what else it is goes into `found`."""
    wrong = [f'AU{au} = {code!r}' for au, code in codes.items() if code not in ('0', '1', '9')]
    if wrong:
        message = f'{where}: {", ".join(wrong)}; expected 0 (absent), 1 (present) or 9 (not coded)'
        found.problem(where, checks.BAD_LABEL, message)
        return False
    if _NOT_CODED in codes.values():
        found.dropped['an action unit not coded'] += 1
        return False
    return True


DATA_SET = DataSet(
    name='bp4d',
    title='BP4D',
    tasks=('au',),
    splits=tuple(PARTS),
    train='',
    evaluated='',
    au_list='bp4d',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
)


class Bp4d(FaceBuilder):
    """The TFDS builder of BP4D."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
