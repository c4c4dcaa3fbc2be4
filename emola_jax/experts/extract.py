"""Writes one landmark file per picture, batch by batch; what is there already is left alone."""

from __future__ import annotations

import dataclasses
import errno
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.experts.pictures import (
    Item,
    holds_something_else,
    is_extracted,
    read_picture,
    write_landmarks,
)
from emola_jax.experts.registry import Expert
from emola_jax.files import csv_files
from emola_jax.files.names import readable

NO_FACE = 'no face found'

_READERS = 4


@dataclasses.dataclass(frozen=True)
class Extraction:
    """What a run of `extract` did.

    Attributes:
      written: landmark files written.
      kept: landmark files that were there already.
      failures: (picture, reason) of each picture that has no landmarks now.
    """

    written: int
    kept: int
    failures: tuple[tuple[Path, str], ...]


def extract(items: Sequence[Item], expert: Expert, *, batch: int, overwrite: bool) -> Extraction:
    """Extracts what is missing; a kill at any moment costs at most the batch in work.

    Args:
      items: pictures and where their landmarks go.
      expert: what finds them.
      batch: pictures at a time.
      overwrite: whether to replace landmark files that are there.
    """
    waiting = [item for item in items if overwrite or not is_extracted(item.landmarks)]
    kept = len(items) - len(waiting)
    failures = [
        (item.image, f'{item.landmarks} holds an array of another shape; --overwrite replaces it')
        for item in waiting
        if not overwrite and holds_something_else(item.landmarks)
    ]
    foreign = {image for image, _ in failures}
    waiting = [item for item in waiting if item.image not in foreign]
    written = 0
    with tqdm(total=len(waiting), unit='picture', disable=None) as bar:
        for group, photos in batches(waiting, batch):
            for item, landmarks in extract_batch(group, photos, expert):
                if isinstance(landmarks, str):
                    failures.append((item.image, landmarks))
                elif fault := _written(item.landmarks, landmarks):
                    failures.append((item.image, fault))
                else:
                    written += 1
            bar.update(len(group))
    return Extraction(written, kept, tuple(failures))


def extract_batch(
    group: Sequence[Item], photos: Sequence[np.ndarray | str], expert: Expert
) -> Iterator[tuple[Item, np.ndarray | str]]:
    """Each item of a batch with its landmarks, or with why there are none."""
    readable = [photo for photo in photos if not isinstance(photo, str)]
    found = iter(expert.extract(readable) if readable else [])
    for item, photo in zip(group, photos, strict=True):
        if isinstance(photo, str):
            yield item, photo
            continue
        landmarks = next(found)
        yield item, NO_FACE if landmarks is None else landmarks


def batches(
    items: Sequence[Item], size: int
) -> Iterator[tuple[Sequence[Item], list[np.ndarray | str]]]:
    """Batches of items with their pictures (or why one cannot be read), read one batch ahead."""
    groups = [items[start : start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(_READERS) as pool:
        ahead: deque = deque()
        for group in groups:
            ahead.append((group, [pool.submit(_read, item.image) for item in group]))
            if len(ahead) > 1:
                ready, futures = ahead.popleft()
                yield ready, [future.result() for future in futures]
        for ready, futures in ahead:
            yield ready, [future.result() for future in futures]


def write_failures(path: Path, failures: Sequence[tuple[Path, str]]) -> None:
    """A CSV of pictures without landmarks and why; removed where there are none."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    rows = ((readable(image), readable(reason)) for image, reason in failures)
    csv_files.write(path, ('image', 'reason'), rows)


_OF_THE_DISK = frozenset({errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EROFS})
"""Faults that every further file would have."""


def _written(path: Path, landmarks: np.ndarray) -> str:
    """Writes a file; says why it cannot be written, '' if it was.

    Raises:
      OSError: nothing more can be written at all.
    """
    try:
        write_landmarks(path, landmarks)
    except OSError as error:
        if error.errno in _OF_THE_DISK:
            raise
        return f'{path}: cannot be written ({error.strerror})'
    return ''


def _read(path: Path) -> np.ndarray | str:
    try:
        return read_picture(path)
    except UserError as error:
        return str(error).removeprefix(f'{path}: ')  # which stands in front of the reason
