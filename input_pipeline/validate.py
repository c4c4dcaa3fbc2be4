"""What is wrong with a record, in sentences, before it reaches a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

import numpy as np

from emola_jax.facs import EMOTIONS
from input_pipeline import images
from input_pipeline.landmarks import POINTS
from input_pipeline.records import IMAGE_MARK, TASKS, UNLABELLED, Record

LANDMARK_LIMIT = 1.5
"""Landmarks may lie outside the picture (±1), as of a face cut by its border, but no farther."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one record.

    Attributes:
      record: the record's id.
      kind: the same short name for all problems of a kind, to count by.
      message: a sentence that names the record, the field and what was expected.
    """

    record: str
    kind: str
    message: str


def problems(
    record: Record,
    *,
    known_aus: Collection[int],
    needs_landmarks: bool = True,
    needs_label: bool = True,
    decodes: bool = True,
) -> list[Problem]:
    """Finds all problems of a record; none means that it is fit for use.

    Args:
      record: the record.
      known_aus: FACS numbers that a label may hold.
      needs_landmarks: whether landmarks that were not extracted (NaN) are a problem.
      needs_label: whether a question about the emotion must have its label; training on texts
        alone needs none.
      decodes: whether to decode the picture, which takes most of the time.
    """
    checks = (
        _task(record),
        _image(record, decodes),
        _landmarks(record, needs_landmarks),
        _texts(record),
        _emotion(record, needs_label),
        _aus(record, known_aus),
    )
    return [
        Problem(record.id, kind, f"record '{record.id}': {complaint}")
        for check in checks
        for kind, complaint in check
    ]


_Complaints = Iterator[tuple[str, str]]


def _task(record: Record) -> _Complaints:
    if record.task not in TASKS:
        yield 'unknown task', f'field task is {record.task!r}, expected one of {TASKS}'


def _image(record: Record, decodes: bool) -> _Complaints:
    if not record.image:
        yield 'missing image', 'field image is empty, expected an encoded picture'
        return
    if not decodes:
        return
    try:
        images.decode(record.image, name=record.id)
    except images.Unreadable as error:
        yield (
            'unreadable image',
            f'field image holds no readable picture, expected PNG or JPEG ({error.reason})',
        )


def _landmarks(record: Record, needed: bool) -> _Complaints:
    values = np.asarray(record.landmarks)
    if values.shape != (2 * POINTS,):
        yield (
            'landmark count',
            f'field landmarks has shape {values.shape}, expected ({2 * POINTS},): x and y of '
            f'{POINTS} points',
        )
        return
    missing = np.isnan(values)
    if missing.any() and (needed or not missing.all()):
        yield (
            'missing landmarks',
            f'field landmarks has {missing.sum()} NaN among {values.size} numbers, expected '
            + ('none' if needed else 'none, or all for a face without landmarks'),
        )
    known = values[~missing]
    if known.size and not np.abs(known).max() <= LANDMARK_LIMIT:
        yield (
            'landmarks out of range',
            f'field landmarks reaches {np.abs(known).max():.3g}, expected at most '
            f'{LANDMARK_LIMIT} (±1 is the border of the square picture)',
        )


def _texts(record: Record) -> _Complaints:
    if not record.instruction.strip():
        yield 'empty instruction', 'field instruction is empty, expected a question'
    if not record.response.strip():
        yield 'empty response', 'field response is empty, expected the annotated answer'
    for field, text in (('instruction', record.instruction), ('response', record.response)):
        if IMAGE_MARK in text:
            yield (
                'image mark in text',
                f"field {field} contains '{IMAGE_MARK}', expected words only: the prompt builder "
                'places the picture',
            )


def _emotion(record: Record, needed: bool) -> _Complaints:
    lowest = 0 if needed and record.task == 'emotion' else UNLABELLED
    if record.emotion not in range(lowest, len(EMOTIONS)):
        yield (
            'emotion out of range',
            f'field emotion is {record.emotion}, expected {lowest}..{len(EMOTIONS) - 1} for task '
            f'{record.task!r}',
        )


def _aus(record: Record, known_aus: Collection[int]) -> _Complaints:
    unknown = [au for au in record.aus if au not in known_aus]
    if unknown:
        listed = ', '.join(str(au) for au in sorted(known_aus))
        yield 'unknown action unit', f'field aus has {unknown}, expected some of {listed}'
    if len(set(record.aus)) < len(record.aus):
        yield 'repeated action unit', f'field aus is {list(record.aus)}, expected each number once'
