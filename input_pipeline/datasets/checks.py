"""What is wrong with a data set before it is built: everything, listed at once.

Some faults concern the whole (an id that occurs twice, a person on both sides of a split) and
always stop a build. Others concern one record, and may be dropped and counted instead.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from emola_jax.errors import UserError
from input_pipeline.datasets.items import Item, read, read_landmarks
from input_pipeline.validate import Problem, problems

DUPLICATE_ID = 'duplicate id'
SUBJECT_IN_TWO_SPLITS = 'subject in two splits'
BAD_LABEL_FILE = 'unreadable label file'
UNKNOWN_SUBJECT = 'unknown subject'
MISSING_FILE = 'missing file'
BAD_ROW = 'unreadable row'
BAD_LABEL = 'label out of range'
BAD_LANDMARKS = 'unreadable landmarks'
BAD_BOX = 'box beyond the picture'
BAD_FILE = 'unreadable file'
BAD_VIDEO = 'unreadable video'
LANDMARK_SCALE = 'landmark scale'

ALWAYS_STOP = frozenset({DUPLICATE_ID, SUBJECT_IN_TWO_SPLITS, BAD_LABEL_FILE, UNKNOWN_SUBJECT})
"""Kinds that leave nothing to drop: what is right instead isn't known."""

_LISTED = 5
# Points that spread less are no face; constants, such as tests use, say nothing about a scale.
_SPREAD = 0.05


def whole(items: Sequence[Item]) -> list[Problem]:
    """Ids that occur twice, and subjects that appear in two splits."""
    found = []
    files = collections.defaultdict(list)
    splits: dict[str, set[str]] = collections.defaultdict(set)
    for item in items:
        files[item.id].append(item.image)
        if item.subject:
            splits[item.subject].add(item.split)
    for name, pictures in files.items():
        if len(pictures) > 1:
            message = f"record '{name}': this id occurs {len(pictures)} times, expected once; of "
            message += ', '.join(pictures[:3])
            found.append(Problem(name, DUPLICATE_ID, message))
    for subject, names in splits.items():
        if len(names) > 1:
            message = (
                f"subject '{subject}' is in the splits {', '.join(sorted(names))}, expected one: "
                'a model that knows the person from training is not tested by it'
            )
            found.append(Problem(subject, SUBJECT_IN_TWO_SPLITS, message))
    return found


def one(item: Item, *, known_aus: Collection[int]) -> list[Problem]:
    """What is wrong with one record: its files, then what they hold."""
    try:
        return _of_files(item, known_aus)
    except OSError as error:
        message = f"record '{item.id}': {error.filename} cannot be read ({error.strerror})"
        return [Problem(item.id, BAD_FILE, message)]


def _of_files(item: Item, known_aus: Collection[int]) -> list[Problem]:
    missing = [
        Problem(item.id, MISSING_FILE, f"record '{item.id}': {what} {path} doesn't exist")
        for what, path in (('the picture', item.image), ('the landmark file', item.landmarks))
        if path and not Path(path).is_file()
    ]
    if missing:
        return missing
    try:
        landmarks = read_landmarks(item.landmarks)
    except UserError as error:
        return [Problem(item.id, BAD_LANDMARKS, f"record '{item.id}': {error}")]
    try:
        record = read(item)
    except UserError as error:
        return [Problem(item.id, BAD_BOX, f"record '{item.id}': {error}")]
    found = problems(record, known_aus=known_aus, needs_landmarks=False, needs_label=False)
    return found or _landmark_scale(item, landmarks)


def _landmark_scale(item: Item, landmarks: np.ndarray) -> list[Problem]:
    """Points in 0..1 pass as points in -1..1, but then the face fills the lower right quarter."""
    lowest, highest = landmarks.min(), landmarks.max()
    if np.isnan(lowest) or lowest < 0 or highest - lowest < _SPREAD:
        return []
    message = (
        f"record '{item.id}': the landmarks in {item.landmarks} lie in {lowest:.2f}..{highest:.2f},"
        ' expected -1..1 over the square picture (0 is its middle): map 0..1 to it by 2x - 1'
    )
    return [Problem(item.id, LANDMARK_SCALE, message)]


def report(name: str, found: Iterable[Problem], full_list: Path) -> str:
    """All problems by kind, the first few of each in words, and where the others are."""
    by_kind: dict[str, list[Problem]] = collections.defaultdict(list)
    for problem in found:
        by_kind[problem.kind].append(problem)
    total = sum(len(of_kind) for of_kind in by_kind.values())
    lines = [
        f'{name}: {total} problem{"s" * (total != 1)} of {len(by_kind)} '
        f'kind{"s" * (len(by_kind) != 1)}; nothing was built (all are in {full_list})'
    ]
    for kind, of_kind in sorted(by_kind.items(), key=lambda entry: -len(entry[1])):
        lines.append(f'  {kind} ({len(of_kind)}):')
        lines += [f'    {problem.message}' for problem in of_kind[:_LISTED]]
        if len(of_kind) > _LISTED:
            lines.append(f'    … and {len(of_kind) - _LISTED} more')
    return '\n'.join(lines)
