"""The 106-point landmark layout, its mirror image, and detector-like noise.

A face is 106 points, stored as float32[212] = x0, y0, x1, y1, … in [-1, 1] over the square picture
(x right, y down; a corner of the picture is ±1). NaN means that nothing was extracted. "Right" and
"left" are the subject's: the right eye is on the left of the picture.

    0-32     contour: chin, then ear to chin on the right (1-16) and on the left (17-32)
    33-42    right eye: inner corner, outer corner, 3 on the upper lid and 3 on the lower lid (each
             from the inner corner outwards), pupil, centre of the lids
    43-51    right brow: 5 along the upper edge, 4 along the lower edge, from the inside out
    52-71    mouth: 12 along the outer lips from the right corner over the upper lip, then 8 along
             the inner lips in the same sense
    72-86    nose: 4 down the bridge, 5 along the left side, 5 along the right side, the base
    87-96    left eye, as the right one
    97-105   left brow, as the right one
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POINTS = 106

GROUPS: dict[str, slice] = {
    'contour': slice(0, 33),
    'right_eye': slice(33, 43),
    'right_brow': slice(43, 52),
    'mouth': slice(52, 72),
    'nose': slice(72, 87),
    'left_eye': slice(87, 97),
    'left_brow': slice(97, 106),
}
"""Named runs of points."""

# Shares of the mean square displacement: shift, scale, rotation, smooth, independent.
_SHARES = (0.27, 0.145, 0.145, 0.17, 0.27)
# Mean square distance of the points from their centre, in inter-ocular distances.
_SPREAD = 0.84
_WAVES = 4


def _flip_index() -> NDArray[np.intp]:
    contour = [0, *range(17, 33), *range(1, 17)]
    outer = [52 + (6 - i) % 12 for i in range(12)]
    inner = [64 + (4 - i) % 8 for i in range(8)]
    nose = [*range(72, 76), *range(81, 86), *range(76, 81), 86]
    right, left = [*range(33, 43)], [*range(87, 97)]
    right_brow, left_brow = [*range(43, 52)], [*range(97, 106)]
    return np.array(contour + left + left_brow + outer + inner + nose + right + right_brow)


FLIP_INDEX: NDArray[np.intp] = _flip_index()
"""Point i of a mirrored picture is point FLIP_INDEX[i] of the original, with x negated."""


def flip_landmarks(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Landmarks of the horizontally mirrored picture; float32[..., 212] in and out."""
    points = landmarks.reshape(*landmarks.shape[:-1], POINTS, 2)[..., FLIP_INDEX, :]
    return (points * np.array([-1, 1], np.float32)).reshape(landmarks.shape)


def interocular_distance(landmarks: NDArray[np.float32]) -> float:
    """Distance between the centres of the lids, in landmark units (half a picture)."""
    points = landmarks.reshape(POINTS, 2)
    return float(np.linalg.norm(points[GROUPS['left_eye']][-1] - points[GROUPS['right_eye']][-1]))


def noisy_landmarks(
    landmarks: NDArray[np.float32], rng: np.random.Generator, scale: float = 0.03
) -> NDArray[np.float32]:
    """Landmarks as a detector would place them.

    The errors of a detector are mostly shared: the whole face is shifted, scaled and turned a
    little, neighbouring points move together, and each point has an error of its own. Of the mean
    square displacement 27 % is a shift, 14.5 % a change of scale, 14.5 % a rotation, 17 % a smooth
    field and 27 % independent.

    Args:
      landmarks: float32[212]; returned unchanged when any value is NaN (not extracted).
      rng: the source of the noise.
      scale: root mean square displacement of a point in inter-ocular distances (0.03 is 3 %).

    Returns:
      float32[212], a new array.
    """
    if scale == 0 or np.isnan(landmarks).any():
        return landmarks.copy()
    points = landmarks.reshape(POINTS, 2).astype(np.float64)
    unit = scale * max(interocular_distance(landmarks), 1e-6)
    shift, growth, turn, smooth, independent = np.sqrt(_SHARES)
    centred = (points - points.mean(0)) / (unit / scale)
    moved = growth / np.sqrt(_SPREAD) * rng.standard_normal() * centred
    moved += turn / np.sqrt(_SPREAD) * rng.standard_normal() * centred[:, ::-1] * [-1, 1]
    moved += shift / np.sqrt(2) * rng.standard_normal(2)
    moved += smooth * _smooth_field(centred, rng)
    moved += independent / np.sqrt(2) * rng.standard_normal(points.shape)
    return (points + unit * moved).astype(np.float32).reshape(-1)


def _smooth_field(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A random vector field of unit mean square length, float64[N, 2]: a few long waves."""
    wave = rng.normal(0, 2.0, (_WAVES, 2))
    phase = rng.uniform(0, 2 * np.pi, _WAVES)
    gain = rng.standard_normal((_WAVES, 2)) / np.sqrt(_WAVES)
    return np.cos(points @ wave.T + phase) @ gain
