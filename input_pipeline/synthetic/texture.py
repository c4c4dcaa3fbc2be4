"""Skin painting: albedo, relief and hair cover of one face over the skin atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from input_pipeline.synthetic.atlas import SkinAtlas
from input_pipeline.synthetic.identity import Identity
from input_pipeline.synthetic.wrinkles import WRINKLES, wrinkle_reliefs

_BROW_X = (0.095, 0.20, 0.33, 0.45, 0.545)
_BROW_Y = (7.450, 7.474, 7.497, 7.480, 7.425)
_BROW_THIN = (0.022, 0.026, 0.023, 0.018, 0.009)
_BROW_THICK = (0.034, 0.039, 0.035, 0.027, 0.014)
_CREASE_TINT = np.array([0.60, 0.80, 0.85], np.float32)
"""How strongly a crease darkens red, green and blue: blood shows through, so red the least."""

# Lines that come with age, at most this strong; those of an action unit start at 0.55.
_AGE_WRINKLES = {
    'forehead_inner': 0.14,
    'forehead_outer': 0.14,
    'glabella': 0.12,
    'crow_feet': 0.16,
    'nasolabial': 0.22,
    'marionette': 0.14,
    'cheek_raise': 0.12,
}


@dataclass(frozen=True)
class SkinTexture:
    """A painted face over the atlas.

    Attributes:
      albedo: float32[H, W, 3], linear reflectance.
      relief: float32[H, W], height without unit (see `wrinkles`).
      hair: float32[H, W], 0 skin .. 1 hair.
    """

    albedo: NDArray[np.float32]
    relief: NDArray[np.float32]
    hair: NDArray[np.float32]


class SkinPainter:
    """Paints faces on one atlas; holds what all of them share."""

    def __init__(self, atlas: SkinAtlas) -> None:
        self._atlas = atlas
        width, height = atlas.size
        rng = np.random.default_rng(11)
        self._fine = _noise(rng, (height, width), (0.7, 1.2))
        self._middle = _noise(rng, (height, width), (width / 400, width / 400))
        self._broad = _noise(rng, (height, width), (width / 70, width / 70))
        self._strands = _noise(rng, (height, width), (width / 1300, width / 60))
        reliefs = wrinkle_reliefs(atlas)
        sided = np.concatenate([reliefs * atlas.left, reliefs * (1 - atlas.left)])
        self._reliefs = sided.reshape(len(sided), -1)
        self._regions = _regions(atlas)
        hairs = _noise(rng, (height, width), (width / 300, width / 1200))
        self._brows = [_brow(atlas, widths, hairs) for widths in (_BROW_THIN, _BROW_THICK)]

    def paint(self, person: Identity, wrinkles: Mapping[str, tuple[float, float]]) -> SkinTexture:
        """Paints a face.

        Args:
          person: whose skin it is.
          wrinkles: wrinkle name -> (left, right) strength in 0..1, besides those of age.
        """
        atlas, region = self._atlas, self._regions
        shift = int(np.random.default_rng([person.seed, 2]).integers(atlas.size[0]))
        fine, middle, broad, strands = (
            np.roll(field, shift, 1)
            for field in (self._fine, self._middle, self._broad, self._strands)
        )
        grain = 1 + 0.03 * fine + 0.035 * middle + 0.05 * broad
        albedo = grain[..., None] * np.array(person.skin, np.float32)
        blood = (1 - 0.6 * person.tone) * region['blush'][..., None]
        albedo *= 1 + blood * np.array([0.04, -0.14, -0.14], np.float32)
        albedo *= 1 - (0.14 * (1 + 0.6 * person.age) * region['orbit'])[..., None]
        if person.freckles:
            spots = np.clip(middle - 1.2, 0, 1) * np.clip(region['blush'], 0, 1)
            albedo *= 1 - (0.3 * person.freckles * spots)[..., None]
        self._paint_lips(albedo, person, wrinkles)
        relief = self._relief(person, wrinkles)
        albedo *= np.exp(np.clip(relief, -1.4, 0.25)[..., None] * _CREASE_TINT)
        if person.beard:
            _cover(
                albedo,
                region['beard'] * np.clip(0.55 + 0.35 * fine, 0, 1),
                person.hair,
                person.beard,
            )
        if person.lashes > 0.3:
            shadow = tuple(c * k for c, k in zip(person.skin, (0.55, 0.42, 0.42), strict=True))
            _cover(albedo, atlas.eyelids, shadow, 0.25 * person.lashes)
        thin, thick = self._brows
        brow = thin * (1 - person.brow_thickness) + thick * person.brow_thickness
        _cover(albedo, brow, person.brow, 0.92)
        hair = self._hair(person, strands, fine)
        streaks = np.clip(1 + 0.42 * strands + 0.15 * fine, 0.25, 2.2)[..., None]
        albedo += hair[..., None] * (streaks * np.array(person.hair, np.float32) - albedo)
        _cover(albedo, region['cloth'], person.cloth, 1.0)
        return SkinTexture(albedo, relief, hair)

    def _paint_lips(
        self,
        albedo: NDArray[np.float32],
        person: Identity,
        wrinkles: Mapping[str, tuple[float, float]],
    ) -> None:
        _cover(albedo, self._atlas.lips, person.lips, person.lip_colour)
        # Tightened lips fill with blood; pressed lips lose it and turn lighter than the skin.
        tight = self._sided(wrinkles.get('lip_lines', (0.0, 0.0)))
        dark = tuple(c * k for c, k in zip(person.lips, (0.50, 0.38, 0.42), strict=True))
        _cover(albedo, self._atlas.lips * tight, dark, 0.8)
        pressed = self._sided(wrinkles.get('lip_press', (0.0, 0.0)))
        pale = tuple(min(1.0, c * k) for c, k in zip(person.skin, (1.10, 1.20, 1.22), strict=True))
        _cover(albedo, self._atlas.lips * pressed, pale, 0.8)

    def _sided(self, strengths: tuple[float, float]) -> NDArray[np.float32]:
        """A field with the first value on the left half of the face and the second on the right."""
        left, right = strengths
        return np.float32(right) + self._atlas.left * np.float32(left - right)

    def _relief(
        self, person: Identity, wrinkles: Mapping[str, tuple[float, float]]
    ) -> NDArray[np.float32]:
        weights = np.zeros((2, len(WRINKLES)), np.float32)
        for column, name in enumerate(WRINKLES):
            base = _AGE_WRINKLES.get(name, 0.0) * person.age
            left, right = wrinkles.get(name, (0.0, 0.0))
            weights[:, column] = max(base, left), max(base, right)
        used = np.flatnonzero(weights.ravel())
        width, height = self._atlas.size
        mixed = weights.ravel()[used] @ self._reliefs[used]
        return mixed.reshape(height, width).astype(np.float32)

    def _hair(
        self, person: Identity, strands: NDArray[np.float32], fine: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if person.hair_style == 'bald':
            return np.zeros_like(strands)
        height = hair_height(self._atlas.position, self._atlas.angle, person)
        cover = np.clip((height + 0.045 * strands + 0.012 * fine) / 0.05, 0, 1)
        cover *= 1 - np.clip(2 * self._atlas.ears, 0, 1)
        return (0.72 if person.hair_style == 'buzz' else 0.96) * cover


def hair_height(
    position: NDArray[np.float32], angle: NDArray[np.float32], person: Identity
) -> NDArray[np.float32]:
    """Decimetres above a person's hairline, for rest positions [..., 3] and angles [...]."""
    around = [0, 0.35, 0.62, 0.80, 0.95, 1.15, 1.45, 1.75, 2.2, np.pi]
    line = [8.00, 7.98, 7.89, 7.74, 7.55, 7.33, 7.25, 6.98, 6.62, 6.50]
    recession = 0.10 * person.age * person.sex
    hairline = np.interp(np.abs(angle), around, line).astype(np.float32)
    fine: NDArray[np.float32] = np.sin(5 * angle + 3 * person.parting)
    coarse: NDArray[np.float32] = np.sin(angle)
    bumps = 0.02 * fine + 0.015 * person.parting * coarse
    return position[..., 1] - hairline - recession - bumps


def _regions(atlas: SkinAtlas) -> dict[str, NDArray[np.float32]]:
    """Soft masks of the face, each float32[H, W]."""
    x, y, z = np.moveaxis(atlas.position, -1, 0)
    side, turn = np.abs(x), np.abs(atlas.angle)

    def hill(cx: float, cy: float, rx: float, ry: float) -> NDArray[np.float32]:
        return np.exp(-(((side - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)) * (z > 0.8)

    cheek_line = np.interp(turn, [0, 0.25, 0.5, 0.8, 1.1], [6.60, 6.62, 6.62, 6.75, 7.1])
    jaw_line = 6.02 + 0.35 * turn
    beard = np.clip((cheek_line - y) / 0.10, 0, 1) * np.clip((y - jaw_line) / 0.12, 0, 1)
    beard *= np.clip((1.2 - turn) / 0.3, 0, 1)
    moustache = np.clip(1.8 * (1 - np.hypot((side - 0.12) / 0.22, (y - 6.83) / 0.07) ** 2), 0, 1)
    beard = np.maximum(beard, moustache * (z > 1.2)) * (1 - atlas.lips)
    regions = {
        'blush': 0.9 * hill(0.42, 6.98, 0.17, 0.15)
        + 0.7 * hill(0.0, 6.98, 0.13, 0.10)
        + 0.6 * atlas.ears,
        'orbit': hill(0.30, 7.24, 0.17, 0.12),
        'beard': beard,
        'cloth': np.clip((5.72 - 0.18 * np.cos(turn) - y) / 0.02, 0, 1),
    }
    return {name: region.astype(np.float32) for name, region in regions.items()}


def _brow(
    atlas: SkinAtlas, widths: tuple[float, ...], hairs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Coverage of the eyebrows, float32[H, W]: a soft band, broken up by hairs."""
    x, y, z = np.moveaxis(atlas.position, -1, 0)
    side = np.abs(x)
    middle = np.interp(side, _BROW_X, _BROW_Y)
    half = np.interp(side, _BROW_X, widths, left=1e-3, right=1e-3)
    half = np.maximum(half, 0.3 * atlas.pixel)
    band = np.clip(2.2 * (1.2 - np.abs(y - middle) / half), 0, 1)
    ends = np.clip((side - 0.05) / 0.06, 0, 1) * np.clip((0.565 - side) / 0.03, 0, 1)
    return (band * ends * (z > 0.6) * np.clip(0.8 + 0.25 * hairs, 0, 1)).astype(np.float32)


def _cover(
    albedo: NDArray[np.float32],
    mask: NDArray[np.float32],
    colour: tuple[float, ...],
    opacity: float,
) -> None:
    """Paints `colour` over `albedo` in place, only in the rows that the mask touches."""
    rows = np.flatnonzero(mask.max(1) > 1e-4)
    if len(rows):
        part = slice(rows[0], rows[-1] + 1)
        alpha = (opacity * mask[part])[..., None]
        albedo[part] += alpha * (np.array(colour, np.float32) - albedo[part])


def _noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: tuple[float, float]
) -> NDArray[np.float32]:
    """Smooth noise of unit variance that wraps across; `sigma` is (across, down) in texels."""
    field = rng.normal(size=shape).astype(np.float32)
    pad = int(4 * max(sigma)) + 1
    wide = np.concatenate([field[:, -pad:], field, field[:, :pad]], 1)
    across, down = (max(s, 0.3) for s in sigma)
    smooth = cv2.GaussianBlur(wide, (0, 0), sigmaX=across, sigmaY=down)[:, pad:-pad]
    deviation: Any = smooth.std()
    return smooth / deviation
