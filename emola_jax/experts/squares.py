"""Upright squares of a photo: what the detector looks at, and the face that the model sees."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from input_pipeline.images import CLIP_MEAN_COLOUR

BLACK = (0, 0, 0)

# How FABA-Instruct's face crops (and the rendered faces, whose exact landmarks were measured) frame
# a face: the square's side in longer sides of the landmarks' box, and how far its middle is above
# that of the box, in the same unit.
CROP_SCALE = 1.35
CROP_RISE = 0.087

# A face whose square would be at least this share of the photo's longer side: the photo is a face
# crop already, and is left as it is.
_ALREADY_CROPPED = 0.85


class Square(NamedTuple):
    """Whole pixels; it may reach beyond the photo."""

    left: int
    top: int
    side: int


def cut(
    photo: UInt8[np.ndarray, 'H W 3'], square: Square, size: int, fill: tuple[int, int, int]
) -> UInt8[np.ndarray, 'size size 3']:
    """Cuts a square out and resizes it; what is beyond the photo has the colour `fill`."""
    height, width = photo.shape[:2]
    left, top, side = square
    x0, x1 = np.clip([left, left + side], 0, width)
    y0, y1 = np.clip([top, top + side], 0, height)
    inside = photo[y0:y1, x0:x1]
    if inside.size == 0:
        return np.full((size, size, 3), fill, np.uint8)
    if inside.shape[:2] != (side, side):
        inside = cv2.copyMakeBorder(
            inside,
            y0 - top,
            top + side - y1,
            x0 - left,
            left + side - x1,
            cv2.BORDER_CONSTANT,
            value=fill,
        )
    if side == size:
        return np.ascontiguousarray(inside)
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(inside, (size, size), interpolation=way), np.uint8)


def whole(width: int, height: int, zoom: float = 1.0) -> Square:
    """The square around a photo's middle whose side is `zoom` of its longer side."""
    side = max(1, round(zoom * max(width, height)))
    return Square((width - side) // 2, (height - side) // 2, side)


def tiles(width: int, height: int, zoom: float) -> list[Square]:
    """Squares of `zoom` of the longer side that cover a photo and overlap by half."""
    side = max(1, round(zoom * max(width, height)))

    def starts(length: int) -> list[int]:
        if length <= side:
            return [(length - side) // 2]
        steps = -(-2 * (length - side) // side)
        return [round(step * (length - side) / steps) for step in range(steps + 1)]

    return [Square(left, top, side) for top in starts(height) for left in starts(width)]


def face_square(points: Float[np.ndarray, '106 2'], width: int, height: int) -> Square:
    """The square that shows a face as FABA-Instruct's images do.

    It is moved into the photo where it fits. A photo that is hardly larger than the face is a crop
    already; its square is the whole of it.

    Args:
      points: landmarks in pixels of the photo.
      width: of the photo.
      height: of the photo.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    longer = max(float((high - low).max()), 1.0)
    side = round(CROP_SCALE * longer)
    if side >= _ALREADY_CROPPED * max(width, height):
        return whole(width, height)
    x, y = (low + high) / 2 - (0, CROP_RISE * longer)
    return Square(_inside(x, side, width), _inside(y, side, height), side)


def _inside(middle: float, side: int, length: int) -> int:
    start = round(float(middle) - side / 2)
    return min(max(start, 0), length - side) if side <= length else (length - side) // 2


def cut_face(
    photo: UInt8[np.ndarray, 'H W 3'], square: Square, largest: int
) -> UInt8[np.ndarray, 'S S 3']:
    """The face's square at the photo's resolution, but no larger than `largest` pixels a side."""
    return cut(photo, square, min(square.side, largest), CLIP_MEAN_COLOUR)
