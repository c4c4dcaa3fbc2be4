"""Wrinkles, furrows and bulges of the skin, as relief fields over the atlas.

A relief is a height without unit: negative in a crease, positive on the ridges beside it and on
bulges. `texture` darkens creases and lights ridges, and the renderer tilts the normals by the relief's
slope, so light plays on it. Points are rest positions (|x|, y) in decimetres on one half of the face.
"""

from __future__ import annotations

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

_RIDGE = 0.4
"""Height of the ridges along a crease of depth 1."""


def wrinkle_reliefs(atlas: SkinAtlas) -> NDArray[np.float32]:
    """The reliefs of `WRINKLES` on both halves of the face, float32[16, H, W]."""
    draw = _Painter(atlas)
    fields = {
        'forehead_inner': draw.crease([(0.0, 7.66), (0.13, 7.665), (0.25, 7.64)], 0.014)
        + draw.crease([(0.0, 7.75), (0.13, 7.755), (0.27, 7.73)], 0.014)
        + draw.crease([(0.0, 7.84), (0.13, 7.845), (0.25, 7.82)], 0.013, 0.8),
        'forehead_outer': draw.crease([(0.30, 7.635), (0.42, 7.64), (0.56, 7.57)], 0.014)
        + draw.crease([(0.30, 7.72), (0.42, 7.725), (0.56, 7.66)], 0.014)
        + draw.crease([(0.31, 7.805), (0.42, 7.81), (0.52, 7.76)], 0.013, 0.8),
        'glabella': draw.crease([(0.05, 7.37), (0.058, 7.46), (0.045, 7.56)], 0.016, 1.2)
        + 0.5 * draw.bulge((0.12, 7.50), (0.07, 0.05))
        - 0.5 * draw.bulge((0.0, 7.45), (0.04, 0.09)),
        'crow_feet': draw.crease([(0.485, 7.325), (0.56, 7.375), (0.63, 7.43)], 0.012)
        + draw.crease([(0.49, 7.295), (0.57, 7.31), (0.65, 7.33)], 0.012)
        + draw.crease([(0.485, 7.26), (0.56, 7.24), (0.63, 7.215)], 0.012)
        + draw.crease([(0.47, 7.23), (0.53, 7.185), (0.58, 7.13)], 0.012),
        'cheek_raise': draw.crease([(0.19, 7.20), (0.27, 7.135), (0.37, 7.13), (0.46, 7.18)], 0.016)
        + 0.7 * draw.bulge((0.40, 7.03), (0.14, 0.07)),
        'lid_tight': draw.crease([(0.20, 7.255), (0.28, 7.195), (0.37, 7.195), (0.45, 7.25)], 0.011)
        + 0.5 * draw.crease([(0.20, 7.35), (0.31, 7.395), (0.44, 7.36)], 0.012),
        'nose': draw.crease([(0.0, 7.335), (0.045, 7.325), (0.085, 7.295)], 0.013)
        + draw.crease([(0.0, 7.275), (0.05, 7.265), (0.09, 7.23)], 0.013)
        + draw.crease([(0.0, 7.215), (0.05, 7.20), (0.09, 7.165)], 0.012)
        + draw.crease([(0.07, 7.24), (0.115, 7.19), (0.15, 7.12)], 0.013),
        'nose_wing': draw.crease([(0.125, 7.06), (0.18, 7.01), (0.205, 6.94)], 0.016),
        'nasolabial_upper': draw.crease([(0.165, 7.02), (0.215, 6.95), (0.235, 6.86)], 0.018, 1.1)
        + 0.5 * draw.bulge((0.27, 6.98), (0.06, 0.07)),
        'nasolabial': draw.crease([(0.20, 6.93), (0.27, 6.85), (0.325, 6.74), (0.33, 6.64)], 0.019)
        + 0.5 * draw.bulge((0.40, 6.85), (0.10, 0.10)),
        'dimple': draw.crease([(0.295, 6.68), (0.325, 6.62), (0.30, 6.555)], 0.019, 1.3)
        + draw.crease([(0.36, 6.67), (0.385, 6.61), (0.365, 6.55)], 0.014, 0.7),
        'marionette': draw.crease([(0.265, 6.58), (0.295, 6.50), (0.285, 6.41)], 0.017)
        + 0.5 * draw.bulge((0.35, 6.50), (0.06, 0.08)),
        'chin': draw.pebbles((0.0, 6.30), (0.17, 0.085))
        + draw.crease([(0.0, 6.425), (0.09, 6.42), (0.17, 6.38)], 0.016, 0.8),
        'mouth_sides': draw.crease([(0.34, 6.71), (0.365, 6.62), (0.345, 6.52)], 0.014)
        + draw.crease([(0.42, 6.74), (0.455, 6.62), (0.43, 6.48)], 0.014)
        + draw.crease([(0.50, 6.74), (0.54, 6.62), (0.51, 6.48)], 0.013, 0.7),
        'lip_lines': sum(
            draw.crease([(x, 6.755 - 0.25 * x), (x * 0.97, 6.64)], 0.009, 1.1)
            + draw.crease([(x * 0.97, 6.60), (x, 6.47 + 0.25 * x)], 0.009, 1.1)
            for x in (0.02, 0.07, 0.12, 0.17)
        ),
        'lip_press': draw.crease([(0.0, 6.775), (0.10, 6.775), (0.22, 6.70)], 0.014, 0.8)
        + draw.crease([(0.0, 6.45), (0.11, 6.46), (0.22, 6.52)], 0.016, 1.0)
        + 0.5 * draw.bulge((0.0, 6.80), (0.15, 0.03)),
    }
    return np.stack([fields[name] for name in WRINKLES]).astype(np.float32)


class _Painter:
    """Draws on both halves of an atlas at once; strokes never get thinner than a pixel."""

    def __init__(self, atlas: SkinAtlas) -> None:
        x, self._y, z = np.moveaxis(atlas.position, -1, 0)
        self._x = np.abs(x)
        self._front = z > 0.75
        self._thinnest = 0.5 * atlas.pixel
        rng = np.random.default_rng(7)
        noise = cv2.GaussianBlur(rng.normal(size=(64, 64)).astype(np.float32), (0, 0), 0.8)
        self._noise = noise / noise.std()

    def crease(self, points: Points, width: float, depth: float = 1.0) -> NDArray[np.float32]:
        """A crease along a polyline with ridges beside it; `width` is its half-width."""
        width = max(width, self._thinnest)
        distance = self._distance(points, 6 * width)
        valley = np.exp(-((distance / width) ** 2))
        ridge = np.exp(-(((distance - 2.2 * width) / (1.2 * width)) ** 2))
        return depth * (_RIDGE * ridge - valley)

    def bulge(self, centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float32]:
        """A soft hill."""
        u, v = (self._x - centre[0]) / radii[0], (self._y - centre[1]) / radii[1]
        return np.exp(-(u**2 + v**2)) * self._front

    def pebbles(
        self, centre: tuple[float, float], radii: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Orange-peel texture: dents of about a fiftieth of the face inside a soft ellipse."""
        grain = max(0.022, 2 * self._thinnest)
        across = ((self._x / grain) % 63).astype(np.float32)
        down = ((self._y / grain) % 63).astype(np.float32)
        noise = cv2.remap(self._noise, across, down, cv2.INTER_LINEAR)
        return 1.1 * np.clip(noise, -1.5, 0.7) * self.bulge(centre, radii)

    def _distance(self, points: Points, reach: float) -> NDArray[np.float32]:
        """Distance to the polyline where it is below `reach` (elsewhere a large number)."""
        corners = np.array(points, np.float32)
        low, high = corners.min(0) - reach, corners.max(0) + reach
        near = (self._x > low[0]) & (self._x < high[0]) & (self._y > low[1]) & (self._y < high[1])
        near &= self._front
        texels = np.stack([self._x[near], self._y[near]], -1)
        best = np.full(len(texels), 9.0, np.float32)
        for start, end in zip(_smooth(corners)[:-1], _smooth(corners)[1:], strict=True):
            along = end - start
            t = np.clip((texels - start) @ along / max(float(along @ along), 1e-12), 0, 1)
            gap = np.linalg.norm(texels - start - t[:, None] * along, axis=1)
            best = np.minimum(best, gap)
        distance = np.full(self._x.shape, 9.0, np.float32)
        distance[near] = best
        return distance


def _smooth(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """The polyline with its corners cut twice (Chaikin), ends kept."""
    for _ in range(2):
        first = 0.75 * corners[:-1] + 0.25 * corners[1:]
        second = 0.25 * corners[:-1] + 0.75 * corners[1:]
        between = np.stack([first, second], 1).reshape(-1, 2)
        corners = np.concatenate([corners[:1], between, corners[-1:]])
    return corners
