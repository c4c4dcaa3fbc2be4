"""Landmarks that BlazeFace and FaceMesh find in a data set's own pictures, made once and kept.

A run that is to answer about photos, whose landmarks `predict` computes, learns best from landmarks
of the same expert: those of another one, or exact ones, lie elsewhere on the same face.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import Bool, Float32
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.experts.finder import Finder
from emola_jax.files import checksums
from emola_jax.files.kept_rows import KeptRows
from emola_jax.files.locks import waiting_turn
from input_pipeline import images
from input_pipeline.arrays import read_array
from input_pipeline.landmarks import POINTS
from input_pipeline.records import Record, RecordSource

CHOICES = ('given', 'computed')
"""Of `data.landmarks`: those of the records, or those that are found in their pictures."""

EXPERT = 'blazeface-facemesh-2'
"""Part of a cached file's name: raised whenever the finder would place other points."""

_GROUP = 32


@dataclasses.dataclass(frozen=True)
class WithLandmarks:
    """A source whose records carry other landmarks.

    Attributes:
      source: where the records come from.
      landmarks: f32[n, 212], a row for each of them; NaN leaves a record's own.
    """

    source: RecordSource
    landmarks: Float32[np.ndarray, 'n 212']

    def __len__(self) -> int:
        """The number of records."""
        return len(self.source)

    def __getitem__(self, index: int) -> Record:
        """The record at `index`."""
        record, landmarks = self.source[index], self.landmarks[index]
        if np.isnan(landmarks).any():
            return record
        return dataclasses.replace(record, landmarks=landmarks)


def given(source: RecordSource) -> RecordSource:
    """The records with the landmarks that their data set has."""
    return source.source if isinstance(source, WithLandmarks) else source


def in_pictures(records: Sequence[Record], finder: Finder) -> Float32[np.ndarray, 'n 212']:
    """The landmarks of the largest face of each picture, over the picture padded to a square.

    Args:
      records: whose pictures are looked at.
      finder: finds faces and their 106 points.

    Returns:
      f32[n, 212] in [-1, 1]; a row of NaN where there is no face.

    Raises:
      UserError: a picture cannot be read; names the record.
    """
    found = np.full((len(records), 2 * POINTS), np.nan, np.float32)
    pixels = [
        np.asarray(images.pad_to_square(images.decode(record.image, name=record.id)))
        for record in records
    ]
    for row, (photo, faces) in enumerate(zip(pixels, finder.find(pixels), strict=True)):
        if faces:
            found[row] = (faces[0].points * (2 / photo.shape[0]) - 1).reshape(-1)
    return found


def with_computed(
    source: RecordSource,
    load_finder: Callable[[], Finder],
    folder: Path,
    name: str,
) -> WithLandmarks:
    """The source with the landmarks that are found in its pictures.

    Each picture is looked at once, whatever the number of questions about it. A kill costs one
    batch of pictures; a finished file is read, unless it is not what was written: then it is made
    again.

    Args:
      source: all records of a split.
      load_finder: called only when nothing is cached.
      folder: of the cache.
      name: tells the data set with its settings, and the split.

    Raises:
      UserError: a picture cannot be read, or the cached file is damaged.
    """
    path = folder / f'{name}-{EXPERT}.npy'
    with waiting_turn(folder / f'.{path.stem}.lock', 'extracts landmarks'):
        if not checksums.is_usable(path):
            kept = KeptRows(path.with_suffix('.partial'), {'expert': EXPERT})
            landmarks = _compute(source, load_finder(), kept)
            with checksums.sealed_write(path) as partial, partial.open('wb') as file:
                np.save(file, landmarks)
            kept.remove()
    landmarks = _read(path, len(source))
    blank = int(np.isnan(landmarks).any(axis=1).sum())
    if blank:
        logging.warning(
            '%s: no face was found in the pictures of %d of %d records, which keep their own '
            'landmarks',
            name,
            blank,
            len(landmarks),
        )
    return WithLandmarks(source, landmarks)


def _read(path: Path, count: int) -> np.ndarray:
    try:
        landmarks = read_array(path)
    except UserError as error:
        raise UserError(f'{error}; remove it, so that it is made again') from None
    if landmarks.shape != (count, 2 * POINTS):
        raise UserError(
            f'{path}: holds {list(landmarks.shape)}, expected [{count}, {2 * POINTS}]; remove it'
        )
    return np.asarray(landmarks, np.float32)


def _compute(source: RecordSource, finder: Finder, kept: KeptRows) -> np.ndarray:
    first_with: dict[bytes, int] = {}
    picture_of = [
        first_with.setdefault(hashlib.sha256(source[index].image).digest(), index)
        for index in range(len(source))
    ]
    chosen = list(first_with.values())

    def work(indices: Sequence[int]) -> list[list[float] | None]:
        rows = in_pictures([source[index] for index in indices], finder)
        return [None if np.isnan(row).any() else [float(x) for x in row] for row in rows]

    rows = kept.map('landmarks', chosen, _GROUP, work, unit='picture')
    by_picture = dict(zip(chosen, rows, strict=True))
    nothing = [np.nan] * (2 * POINTS)
    landmarks = np.array([by_picture[index] or nothing for index in picture_of], np.float32)
    return landmarks.reshape(-1, 2 * POINTS)


def of_records(
    records: Sequence[Record], finder: Finder
) -> tuple[list[Record], Bool[np.ndarray, 'n']]:
    """The records with the landmarks that the finder sees in their pictures.

    Returns:
      Records in their order, and which of them kept theirs, because no face was found.
    """
    different = list({record.image: record for record in records}.values())
    found: dict[bytes, np.ndarray] = {}
    for first in tqdm(range(0, len(different), _GROUP), desc='landmarks', unit='batch'):
        group = different[first : first + _GROUP]
        rows = in_pictures(group, finder)
        found |= {record.image: row for record, row in zip(group, rows, strict=True)}
    source = WithLandmarks(records, np.stack([found[record.image] for record in records]))
    kept = np.isnan(source.landmarks).any(axis=1)
    return [source[index] for index in range(len(records))], kept
