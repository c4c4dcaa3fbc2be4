"""Checks landmark files against their pictures: do they hold this face, in the right layout?"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.experts.extract import batches, extract_batch
from emola_jax.experts.pictures import Item, read_landmarks
from emola_jax.experts.registry import Expert
from emola_jax.files import csv_files
from emola_jax.files.names import readable
from input_pipeline.landmarks import GROUPS, POINTS
from input_pipeline.validate import LANDMARK_LIMIT

SAME_FACE = 0.15
"""Mean distance of the points, in outer-eye distances, beyond which it is another face. The mesh is
at most 0.08 from the exact points of a rendered face (`benchmarks/landmarks.py`), the rest is left
for experts that draw the jaw differently. Two people in one pose may be nearer than this: what it
finds is a face elsewhere, at another size, turned, or in another layout."""

OUTER_EYES = (GROUPS['right_eye'].start + 1, GROUPS['left_eye'].start + 1)

STATUSES = {
    'ok': 'the face of the picture',
    'elsewhere': f'more than {SAME_FACE:g} outer-eye distances from the face of the picture',
    'stretched': 'the face of the picture, over its stretched instead of its padded square',
    'range': f'a number beyond ±{LANDMARK_LIMIT:g}',
    'not finite': 'NaN or infinite numbers',
    'length': f'not {2 * POINTS} numbers in one row',
    'unreadable': 'no .npy file of numbers',
    'missing': 'no landmark file',
    'no face': 'no face is found in the picture, so that nothing is compared',
    'no picture': 'the picture cannot be read',
}


@dataclasses.dataclass(frozen=True, eq=False)
class Finding:
    """What is true of one landmark file.

    Attributes:
      item: picture and file.
      status: a key of `STATUSES`.
      distance: mean distance from the extracted points in outer-eye distances; NaN: not compared.
      stored: f32[212] of the file where it can be drawn.
      extracted: f32[212] from the picture, if a face was found there.
    """

    item: Item
    status: str
    distance: float = float('nan')
    stored: np.ndarray | None = None
    extracted: np.ndarray | None = None


def audit(items: Sequence[Item], expert: Expert, *, batch: int) -> list[Finding]:
    """Checks every file by itself, then against what the expert finds in its picture."""
    findings = []
    with tqdm(total=len(items), unit='file', disable=None) as bar:
        for group, photos in batches(items, batch):
            for (item, found), photo in zip(
                list(extract_batch(group, photos, expert)), photos, strict=True
            ):
                findings.append(_judge(item, photo, found))
            bar.update(len(group))
    return findings


def distance(one: Float[np.ndarray, '212'], other: Float[np.ndarray, '212']) -> float:
    """Mean distance of the points, in the outer-eye distances of `other`."""
    points, others = one.reshape(POINTS, 2), other.reshape(POINTS, 2)
    unit = np.linalg.norm(others[OUTER_EYES[1]] - others[OUTER_EYES[0]])
    return float(np.linalg.norm(points - others, axis=1).mean() / max(unit, 1e-6))


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """How many files have each status, in the order of `STATUSES`, without zeros."""
    found = collections.Counter(finding.status for finding in findings)
    return {status: found[status] for status in STATUSES if found[status]}


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Files with both sets of points, the farthest apart first."""
    compared = [finding for finding in findings if np.isfinite(finding.distance)]
    return sorted(compared, key=lambda finding: -finding.distance)


def write_csv(path: Path, findings: Sequence[Finding]) -> None:
    """One row per file: picture, landmark file, status, distance."""
    rows = []
    for finding in findings:
        away = f'{finding.distance:.4f}' if np.isfinite(finding.distance) else ''
        names = (readable(finding.item.image), readable(finding.item.landmarks))
        rows.append((*names, finding.status, away))
    csv_files.write(path, ('image', 'landmarks', 'status', 'distance'), rows)


def _judge(item: Item, photo: np.ndarray | str, found: np.ndarray | str) -> Finding:
    if not os.path.lexists(item.landmarks):  # false also for a name that no file can have
        return Finding(item, 'missing')
    try:
        stored = read_landmarks(item.landmarks)
    except UserError:
        return Finding(item, 'unreadable')
    if stored.shape != (2 * POINTS,):
        return Finding(item, 'length')
    if not np.isfinite(stored).all():
        return Finding(item, 'not finite')
    if isinstance(photo, str):
        return Finding(item, 'no picture')
    extracted = None if isinstance(found, str) else found
    away = float('nan') if extracted is None else distance(stored, extracted)
    if np.abs(stored).max() > LANDMARK_LIMIT:
        return Finding(item, 'range', away, stored, extracted)
    if extracted is None:
        return Finding(item, 'no face', away, stored)
    if away <= SAME_FACE:
        return Finding(item, 'ok', away, stored, extracted)
    as_padded = padded_from_stretched(stored, photo)
    stretched = distance(as_padded, extracted) <= SAME_FACE
    return Finding(item, 'stretched' if stretched else 'elsewhere', away, stored, extracted)


def padded_from_stretched(
    landmarks: Float[np.ndarray, '212'], photo: np.ndarray
) -> Float[np.ndarray, '212']:
    """Landmarks over a picture stretched to a square -> over the picture padded to one."""
    height, width = photo.shape[:2]
    shares = np.array([width, height]) / max(width, height)
    return np.asarray(landmarks.reshape(POINTS, 2) * shares, np.float32).reshape(-1)
