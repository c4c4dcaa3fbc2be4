"""DISFA: 27 people watching a film, the intensity of twelve action units coded frame by frame.

ROOT/DISFA/ActionUnit_Labels/SN001/SN001_au1.txt        "1,0": frame from 1, intensity 0..5
ROOT/DISFA/Video_LeftCamera/LeftVideoSN001_comp.avi     the owners' videos
ROOT/DISFA/frames/SN001/1.jpg                           written from them if it isn't there
ROOT/DISFA/faces/SN001/1.jpg                            ours, optional: frames cropped to the face
ROOT/DISFA/landmarks/SN001/1.npy                        ours, optional

An action unit counts as present from intensity 2 on; eight of the twelve are scored. Both are the
literature's rule (JAA-Net, ME-GraphAU) and the paper's. Frame n of the labels is the n-th of the
video. A folder of frames that starts with 0.jpg, as those of JAA-Net and ME-GraphAU do, is read as
counted from 0.
"""

from __future__ import annotations

from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS
from emola_jax.files import paths
from input_pipeline.datasets import checks, label_files, video_frames
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.folds import Parts, part_of
from input_pipeline.datasets.items import Options, Scan
from input_pipeline.validate import Problem

_FOLDER = 'DISFA'
_LABELS = Path(_FOLDER, 'ActionUnit_Labels')

PARTS: Parts = {
    'part1': (
        'SN001', 'SN002', 'SN009', 'SN010', 'SN016', 'SN026', 'SN027', 'SN030', 'SN032',
    ),
    'part2': (
        'SN006', 'SN011', 'SN012', 'SN013', 'SN018', 'SN021', 'SN024', 'SN028', 'SN031',
    ),
    'part3': (
        'SN003', 'SN004', 'SN005', 'SN007', 'SN008', 'SN017', 'SN023', 'SN025', 'SN029',
    ),
}  # fmt: skip
"""Subjects of the three folds, the same in the published lists of JAA-Net (Shao et al., ECCV 2018)
and of ME-GraphAU (Luo et al., IJCAI 2022)."""

PRESENT = 2
"""The intensity from which on an action unit counts as present."""

_AUS = AU_LISTS['disfa']
_INTENSITIES = tuple(map(str, range(6)))
# SN010's video ends a frame before its labels do.
_MISSING_AT_THE_END = 2

_INSTRUCTIONS = """\
DISFA (Mavadati et al., 2013): ask its owners at the University of Denver for it
(http://mohammadmahoor.com/disfa); they lend it for research. ROOT/DISFA needs
ActionUnit_Labels/SN001/SN001_au1.txt, … and Video_LeftCamera/LeftVideoSN001_comp.avi, …"""


def missing(root: Path, options: Options) -> list[str]:
    """One line for the labels, or for all pictures, if they aren't there."""
    del options
    lines = []
    if not any(paths.files(folder, '.txt') for folder in _subjects(root)):
        lines.append(f'{root / _LABELS}/SN*/SN*_au*.txt: the labels of DISFA')
    if not video_frames.pictures(root / _FOLDER).is_dir() and not _videos(root):
        lines.append(f'{root / _FOLDER}/Video_LeftCamera/*.avi: the videos of DISFA')
    return lines


def prepare(root: Path) -> list[Problem]:
    """Writes the frames of the owners' videos, where nobody has yet; returns what is no video."""
    folder = video_frames.pictures(root / _FOLDER)
    if folder.name != 'frames':
        return []
    return video_frames.extract({folder / subject: path for subject, path in _videos(root).items()})


def scan(root: Path, options: Options) -> Scan:
    """A record for every labelled frame, by subject and frame."""
    found = Scan()
    for folder in _subjects(root):
        part = part_of(folder.name, PARTS)
        if not part:
            message = f'{folder}: subject {folder.name} is none of the 27 of the three folds'
            found.problem(str(folder), checks.UNKNOWN_SUBJECT, message)
            continue
        told = len(found.problems)
        intensities = _intensities(found, folder)
        coded = sorted(set.intersection(*map(set, intensities.values())))
        if len(found.problems) == told:
            _compare_frames(found, folder, intensities, coded)
        pictures = video_frames.pictures(root / _FOLDER) / folder.name
        numbered = video_frames.numbered(pictures)
        first = 0 if 0 in numbered else 1
        last = max(numbered, default=0) + 1 - first
        beyond = [frame for frame in coded if frame > last]
        if numbered and len(beyond) <= _MISSING_AT_THE_END:
            found.dropped['no such frame at the end of the video'] += len(beyond)
            coded = [frame for frame in coded if frame <= last]
        for frame in coded[:: options.frame_step]:
            number = frame - 1 + first
            found.items.append(
                video_frames.item(
                    root / _FOLDER,
                    numbered.get(number, pictures / f'{number}.jpg'),
                    id=f'{folder.name}/{frame}',
                    split=part,
                    subject=folder.name,
                    aus=tuple(au for au in _AUS if intensities[au][frame] >= PRESENT),
                )
            )
    return found


def _intensities(found: Scan, folder: Path) -> dict[int, dict[int, int]]:
    """Action unit -> frame -> intensity, of one subject; what is wrong goes into `found`."""
    return {au: _of_frame(found, folder / f'{folder.name}_au{au}.txt', au) for au in _AUS}


def _compare_frames(
    found: Scan, folder: Path, intensities: dict[int, dict[int, int]], common: list[int]
) -> None:
    """It is a problem if one of a subject's files labels frames that another doesn't."""
    uneven = [au for au, of_frame in intensities.items() if len(of_frame) != len(common)]
    if uneven:
        counts = ', '.join(f'{len(intensities[au])} of AU{au}' for au in uneven)
        message = f'{folder}: its files label different frames ({counts}; {len(common)} in common)'
        found.problem(str(folder), checks.BAD_LABEL_FILE, message)


def _of_frame(found: Scan, path: Path, au: int) -> dict[int, int]:
    """Frame -> intensity of one action unit, as one file has it."""
    found.label_files += [path] if path.is_file() else []
    of_frame: dict[int, int] = {}
    try:
        numbered = list(label_files.lines(path))
    except UserError as error:
        found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
        return of_frame
    for line, text in numbered:
        where = f'{path}, line {line}'
        frame, _, intensity = (part.strip() for part in text.partition(','))
        number = label_files.whole_number(frame)
        if number is None or not intensity:
            found.problem(
                where, checks.BAD_ROW, f"{where}: expected 'frame,intensity', not {text!r}"
            )
        elif intensity not in _INTENSITIES:
            message = f'{where}: the intensity of AU{au} is {intensity!r}, expected 0..5'
            found.problem(where, checks.BAD_LABEL, message)
        else:
            of_frame[number] = int(intensity)
    return of_frame


def _videos(root: Path) -> dict[str, Path]:
    """Subject -> video of the left camera."""
    of_camera = [
        path
        for folder in sorted((root / _FOLDER).glob('Video*LeftCamera'))
        for path in paths.files(folder, '.avi')
    ]
    names = [subject for subjects in PARTS.values() for subject in subjects]
    found = {name: next((p for p in of_camera if name in p.name), None) for name in names}
    return {name: path for name, path in found.items() if path}


def _subjects(root: Path) -> list[Path]:
    """The folders of labels."""
    return [folder for folder in paths.folders(root / _LABELS) if folder.name.startswith('SN')]


DATA_SET = DataSet(
    name='disfa',
    title='DISFA',
    tasks=('au',),
    splits=tuple(PARTS),
    train='',
    evaluated='',
    au_list='disfa',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
    prepare=prepare,
)


class Disfa(FaceBuilder):
    """The TFDS builder of DISFA."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
