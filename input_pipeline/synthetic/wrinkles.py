"""Wrinkles, furrows and bulges of the skin, as relief fields over the atlas.

A relief is a height without unit: negative in a crease, positive on the ridges beside it and on
bulges. `texture` darkens creases and lights ridges, and the renderer tilts the normals by the slope
of the relief, so light plays on it. Points are rest positions (|x|, y) in decimetres on one half of
the face.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from input_pipeline.synthetic.atlas import SkinAtlas

Points = Sequence[tuple[float, float]]

WRINKLES = (
    'forehead_inner',
    'forehead_outer',
    'glabella',
    'crow_feet',
    'cheek_raise',
    'lid_tight',
    'nose',
    'nose_wing',
    'nasolabial_upper',
    'nasolabial',
    'dimple',
    'marionette',
    'chin',
    'mouth_sides',
    'lip_lines',
    'lip_press',
)
"""Names of the reliefs, in the order of `wrinkle_reliefs`."""

# Each of the fine lines through pursed lips: (|x|, upper end, lower end).
_LIP_LINES = ((0.03, 6.79, 6.47), (0.085, 6.76, 6.46), (0.135, 6.77, 6.47), (0.19, 6.70, 6.50))
_FADE = 0.35
"""Part of a stroke over which it fades in, and out again."""

_RIDGE = 0.22
_FOLD = 0.30
"""Height of the ridges along a crease of depth 1, and depth of the wide shade around it."""


def wrinkle_reliefs(atlas: SkinAtlas) -> NDArray[np.float32]:
    """The reliefs of `WRINKLES` on both halves of the face, float32[16, H, W]."""
    draw = _Painter(atlas)
    fields = {
        'forehead_inner': draw.crease([(0.0, 7.66), (0.13, 7.668), (0.30, 7.64)], 0.014)
        + draw.crease([(0.0, 7.745), (0.13, 7.755), (0.33, 7.73)], 0.014)
        + draw.crease([(0.0, 7.83), (0.13, 7.84), (0.28, 7.82)], 0.013, 0.8),
        'forehead_outer': draw.crease([(0.27, 7.63), (0.42, 7.645), (0.58, 7.56)], 0.014)
        + draw.crease([(0.25, 7.715), (0.42, 7.73), (0.58, 7.65)], 0.014)
        + draw.crease([(0.28, 7.80), (0.42, 7.81), (0.54, 7.75)], 0.013, 0.8),
        'glabella': draw.crease([(0.042, 7.35), (0.058, 7.46), (0.040, 7.58)], 0.017, 1.2)
        + 0.45 * draw.bulge((0.12, 7.50), (0.07, 0.05))
        - 0.45 * draw.bulge((0.0, 7.45), (0.045, 0.09)),
        'crow_feet': draw.crease([(0.475, 7.315), (0.56, 7.375), (0.65, 7.44)], 0.012)
        + draw.crease([(0.48, 7.29), (0.57, 7.31), (0.67, 7.335)], 0.012)
        + draw.crease([(0.475, 7.26), (0.56, 7.24), (0.65, 7.21)], 0.012)
        + draw.crease([(0.45, 7.235), (0.53, 7.185), (0.60, 7.12)], 0.012)
        - 0.25 * draw.bulge((0.57, 7.28), (0.09, 0.10)),
        'cheek_raise': draw.crease([(0.17, 7.21), (0.27, 7.135), (0.37, 7.13), (0.48, 7.19)], 0.017)
        + 0.8 * draw.bulge((0.40, 7.03), (0.14, 0.08)),
        'lid_tight': draw.crease(
            [(0.18, 7.26), (0.28, 7.19), (0.37, 7.19), (0.47, 7.26)], 0.016, 1.1
        )
        + 0.8 * draw.crease([(0.18, 7.34), (0.31, 7.395), (0.46, 7.35)], 0.013)
        - 0.8 * draw.bulge((0.32, 7.19), (0.15, 0.055)),
        'nose': draw.crease([(0.0, 7.335), (0.045, 7.325), (0.095, 7.29)], 0.013)
        + draw.crease([(0.0, 7.275), (0.05, 7.265), (0.10, 7.225)], 0.013)
        + draw.crease([(0.0, 7.215), (0.05, 7.20), (0.10, 7.16)], 0.012)
        + draw.crease([(0.06, 7.25), (0.115, 7.19), (0.16, 7.10)], 0.013)
        - 0.25 * draw.bulge((0.0, 7.26), (0.08, 0.10)),
        'nose_wing': draw.crease([(0.115, 7.08), (0.18, 7.01), (0.21, 6.92)], 0.016),
        'nasolabial_upper': draw.crease([(0.155, 7.04), (0.215, 6.95), (0.24, 6.84)], 0.022, 1.2)
        - 0.55 * draw.bulge((0.19, 6.92), (0.06, 0.10))
        + 0.45 * draw.bulge((0.30, 6.97), (0.06, 0.07)),
        'nasolabial': draw.crease(
            [(0.18, 6.96), (0.265, 6.86), (0.325, 6.74), (0.335, 6.61)], 0.018
        )
        + 0.4 * draw.bulge((0.40, 6.86), (0.10, 0.10)),
        'dimple': draw.crease([(0.285, 6.70), (0.325, 6.62), (0.29, 6.54)], 0.023, 1.2)
        - 0.9 * draw.bulge((0.325, 6.62), (0.055, 0.075))
        + 0.5 * draw.bulge((0.43, 6.64), (0.05, 0.10)),
        'marionette': draw.crease([(0.255, 6.60), (0.295, 6.50), (0.28, 6.38)], 0.021, 1.1)
        + 0.4 * draw.bulge((0.35, 6.50), (0.06, 0.08)),
        'chin': draw.pebbles((0.0, 6.30), (0.17, 0.085))
        + draw.crease([(0.0, 6.43), (0.09, 6.425), (0.19, 6.37)], 0.018, 0.8)
        - 0.55 * draw.bulge((0.0, 6.31), (0.19, 0.10)),
        'mouth_sides': draw.crease([(0.36, 6.80), (0.395, 6.64), (0.36, 6.48)], 0.017, 1.0)
        + draw.crease([(0.47, 6.78), (0.505, 6.64), (0.48, 6.48)], 0.016, 0.5)
        + 0.5 * draw.crease([(0.0, 6.36), (0.12, 6.37), (0.27, 6.42)], 0.014),
        'lip_lines': sum(
            draw.crease([(1.1 * x, top), (0.95 * x, 6.62), (1.1 * x, low)], 0.010, 0.9)
            for x, top, low in _LIP_LINES
        ),
        'lip_press': draw.crease([(0.0, 6.455), (0.12, 6.46), (0.26, 6.55)], 0.022, 1.1)
        + draw.crease([(0.24, 6.68), (0.275, 6.62), (0.25, 6.56)], 0.015, 0.8)
        + 0.5 * draw.bulge((0.0, 6.80), (0.16, 0.04)),
    }
    return np.stack([fields[name] for name in WRINKLES]).astype(np.float32)


class _Painter:
    """Draws on both halves of an atlas at once; strokes never get thinner than a pixel."""

    def __init__(self, atlas: SkinAtlas) -> None:
        x, self._y, z = np.moveaxis(atlas.position, -1, 0)
        self._x = np.abs(x)
        self._front = z > 0.75
        self._thinnest = 0.5 * atlas.pixel
        # Unlike the strokes, the noise differs between the two halves.
        rng = np.random.default_rng(7)
        self._grain = self._noise(x, rng, max(0.014, 1.3 * atlas.pixel))
        self._unevenness = 1 + 0.2 * np.clip(self._noise(x, rng, 0.06), -1.5, 1.5)

    def crease(self, points: Points, width: float, depth: float = 1.0) -> NDArray[np.float32]:
        """A crease of half-width `width` along a polyline, in a wider fold, with low ridges.

        It fades towards its ends, except at the midline, where the other half continues it.
        """
        width = max(width, self._thinnest)
        distance, fade = self._distance(points, 6 * width)
        valley: NDArray[np.float32] = np.exp(-((distance / width) ** 2))
        fold: NDArray[np.float32] = np.exp(-((distance / (3 * width)) ** 2))
        ridge: NDArray[np.float32] = np.exp(-(((distance - 2.4 * width) / (1.2 * width)) ** 2))
        return depth * fade * self._unevenness * (_RIDGE * ridge - valley - _FOLD * fold)

    def bulge(self, centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float32]:
        """A soft hill."""
        u, v = (self._x - centre[0]) / radii[0], (self._y - centre[1]) / radii[1]
        return np.exp(-(u**2 + v**2)) * self._front

    def pebbles(
        self, centre: tuple[float, float], radii: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Orange-peel texture: dents of about a fiftieth of the face inside a soft ellipse."""
        return 0.9 * np.clip(self._grain, -1.3, 0.4) * self.bulge(centre, radii)

    def _noise(
        self, x: NDArray[np.float32], rng: np.random.Generator, grain: float
    ) -> NDArray[np.float32]:
        """Smooth noise of unit variance whose spots are `grain` decimetres wide."""
        tile = cv2.GaussianBlur(rng.normal(size=(64, 64)).astype(np.float32), (0, 0), 0.7)
        across, down = ((v / grain) % 63 for v in (x, self._y))
        field = cv2.remap(
            tile / tile.std(),
            across.astype(np.float32),
            down.astype(np.float32),
            cv2.INTER_LINEAR,
        )
        return field.astype(np.float32)

    def _distance(
        self, points: Points, reach: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Distance to the polyline where it is below `reach` (elsewhere a large one), and fade."""
        corners = _smooth(np.array(points, np.float32))
        low, high = corners.min(0) - reach, corners.max(0) + reach
        near = (self._x > low[0]) & (self._x < high[0]) & (self._y > low[1]) & (self._y < high[1])
        near &= self._front
        texels = np.stack([self._x[near], self._y[near]], -1)
        best = np.full(len(texels), 9.0, np.float32)
        where = np.zeros(len(texels), np.float32)
        steps = np.linalg.norm(np.diff(corners, axis=0), axis=1)
        reached = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
        for index, (start, end) in enumerate(itertools.pairwise(corners)):
            along = end - start
            t = np.clip((texels - start) @ along / max(float(along @ along), 1e-12), 0, 1)
            gap = np.linalg.norm(texels - start - t[:, None] * along, axis=1)
            closer = gap < best
            best[closer] = gap[closer]
            place = reached[index] + t * (reached[index + 1] - reached[index])
            where[closer] = place[closer]
        from_start = where if points[0][0] > 0 else np.ones_like(where)
        ends = np.clip(np.minimum(from_start, 1 - where) / _FADE, 0, 1)
        distance = np.full(self._x.shape, 9.0, np.float32)
        fade = np.zeros(self._x.shape, np.float32)
        distance[near], fade[near] = best, ends**0.7
        return distance, fade


def _smooth(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """The polyline with its corners cut twice (Chaikin), ends kept."""
    for _ in range(2):
        first = 0.75 * corners[:-1] + 0.25 * corners[1:]
        second = 0.25 * corners[:-1] + 0.75 * corners[1:]
        between = np.stack([first, second], 1).reshape(-1, 2)
        corners = np.concatenate([corners[:1], between, corners[-1:]])
    return corners
