"""The turned square that FaceMesh looks at, and pixels out of it.

Positions are pixels with edges at whole numbers: the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

SCALE = 1.5
"""Side of the square in longer sides of the detected box (MediaPipe's detection_to_roi graph)."""


class Region(NamedTuple):
    """Turned squares, one a face.

    Attributes:
      centre: f32[..., 2], x and y.
      side: f32[...].
      angle: f32[...], radians from the picture's x axis to the square's, clockwise as y is down.
    """

    centre: Array
    side: Array
    angle: Array


@jax.jit
def region_of(boxes: Float[Array, '*n 4'], keypoints: Float[Array, '*n 6 2']) -> Region:
    """The region of a detected face: on its box, `SCALE` times its longer side, eyes level."""
    eyes = keypoints[..., 1, :] - keypoints[..., 0, :]
    sides = boxes[..., 2:] - boxes[..., :2]
    return Region(
        centre=(boxes[..., :2] + boxes[..., 2:]) / 2,
        side=SCALE * jnp.max(sides, axis=-1),
        angle=jnp.arctan2(eyes[..., 1], eyes[..., 0]),
    )


def region_around(points: Float[Array, '*n points 2'], right_eye: int, left_eye: int) -> Region:
    """The region of a face whose points are known: on their box, `SCALE` times its longer side.

    Args:
      points: positions in the picture.
      right_eye: number of a point that shall be level with
      left_eye: this one.
    """
    low, high = points.min(axis=-2), points.max(axis=-2)
    eyes = points[..., left_eye, :] - points[..., right_eye, :]
    return Region(
        centre=(low + high) / 2,
        side=SCALE * jnp.max(high - low, axis=-1),
        angle=jnp.arctan2(eyes[..., 1], eyes[..., 0]),
    )


def place_points(
    points: Float[Array, '*n points 2'], region: Region
) -> Float[Array, '*n points 2']:
    """Points that are shares of the region's side -> positions in the picture."""
    offset = (points - 0.5) * region.side[..., None, None]
    cos, sin = jnp.cos(region.angle)[..., None], jnp.sin(region.angle)[..., None]
    x, y = offset[..., 0], offset[..., 1]
    turned = jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return turned + region.centre[..., None, :]


def sample(
    images: UInt8[Array, 'B H W 3'], region: Region, size: int
) -> Float[Array, 'B size size 3']:
    """The region's pixels, bilinear, 0..255; outside of the picture there is black.

    Args:
      images: of any size.
      region: one a picture.
      size: pixels a side of the result.
    """
    missing = [(0, max(0, 2 - side)) for side in images.shape[1:3]]
    images = jnp.pad(images, ((0, 0), *missing, (0, 0)))
    return jax.vmap(lambda image, square: _sample(image, square, size))(images, region)


def _sample(image: Array, region: Region, size: int) -> Array:
    """One picture of at least 2 x 2 pixels.

    Each barrier has what stands before it made once. XLA on CPU would otherwise fuse all of it into
    what reads it, and compute places again for each pixel that is read there, and those again for
    each colour.
    """
    height, width, _ = image.shape
    x, y = _places(region, size)
    column = jnp.clip(jnp.floor(x), 0, width - 2)
    row = jnp.clip(jnp.floor(y), 0, height - 2)
    first = row.astype(jnp.int32) * width + column.astype(jnp.int32)
    # Beyond the picture's edges both neighbours may be more than a pixel off, and have no share.
    shares = (_share(x, column), _share(x, column + 1), _share(y, row), _share(y, row + 1))
    first, left, right, upper, lower = jax.lax.optimization_barrier((first, *shares))
    # A pixel is one number: two reads for a place, of two neighbours each, and not twelve.
    weights = jnp.asarray([1, 1 << 8, 1 << 16], jnp.uint32)
    packed = jnp.sum(image.astype(jnp.uint32) * weights, axis=-1)
    pixels = jax.lax.optimization_barrier(packed.reshape(-1))
    pairs = jax.lax.optimization_barrier((_pairs(pixels, first), _pairs(pixels, first + width)))

    def colour(shift: int) -> Array:
        a, b, c, d = (
            (pair[..., i] >> shift & 255).astype(jnp.float32) for pair in pairs for i in (0, 1)
        )
        return (a * left + b * right) * upper + (c * left + d * right) * lower

    return jnp.stack(jax.lax.optimization_barrier([colour(shift) for shift in (0, 8, 16)]), axis=-1)


def _places(region: Region, size: int) -> tuple[Array, Array]:
    """(x, y) f32[size, size] of the square's pixels; the picture's first pixel is at (0, 0)."""
    offset = ((jnp.arange(size) + 0.5) / size - 0.5) * region.side
    across, down = jnp.cos(region.angle) * offset, jnp.sin(region.angle) * offset
    x, y = region.centre[0] - 0.5, region.centre[1] - 0.5
    # Each is the sum of a row and a column.
    terms = (x + across, -down, y + down, across)
    row_x, column_x, row_y, column_y = jax.lax.optimization_barrier(terms)
    return row_x[None, :] + column_x[:, None], row_y[None, :] + column_y[:, None]


def _share(place: Array, pixel: Array) -> Array:
    """How much of a place's colour is the pixel's, 0..1, along one axis."""
    return jnp.maximum(1 - jnp.abs(place - pixel), 0)


def _pairs(pixels: Array, first: Array) -> Array:
    """The pixels numbered `first` and those behind them: [..., 2]."""
    numbers = jax.lax.GatherDimensionNumbers(
        offset_dims=(first.ndim,), collapsed_slice_dims=(), start_index_map=(0,)
    )
    return jax.lax.gather(pixels, first[..., None], numbers, (2,), mode='promise_in_bounds')
