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
    """The region's pixels, bilinear; outside of the picture there is black.

    Args:
      images: of any size.
      region: one a picture.
      size: pixels a side of the result.
    """
    middle = (jnp.arange(size) + 0.5) / size
    y, x = jnp.meshgrid(middle, middle, indexing='ij')
    grid = jnp.stack([x.ravel(), y.ravel()], axis=-1)
    wanted = place_points(jnp.broadcast_to(grid, (len(images), *grid.shape)), region) - 0.5
    pixels = jax.vmap(_bilinear)(images, wanted)
    return pixels.reshape(len(images), size, size, 3)


def _bilinear(image: UInt8[Array, 'H W 3'], positions: Float[Array, 'N 2']) -> Float[Array, 'N 3']:
    """Values between pixel centres, which here have whole numbers."""
    height, width = image.shape[:2]
    framed = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    # Beyond the frame all is black, as the frame is. Without the barriers XLA would compute the
    # positions anew for each of the twelve numbers that a pixel is made of.
    inside = jnp.clip(positions + 1, 0, jnp.array([width + 1, height + 1]))
    inside = jax.lax.optimization_barrier(inside)
    corner = jnp.minimum(jnp.floor(inside), jnp.array([width, height]))
    windows = jax.lax.gather(
        framed,
        corner[:, ::-1].astype(jnp.int32),
        jax.lax.GatherDimensionNumbers(
            offset_dims=(1, 2, 3), collapsed_slice_dims=(), start_index_map=(0, 1)
        ),
        slice_sizes=(2, 2, 3),
        mode='promise_in_bounds',
    )
    windows = jax.lax.optimization_barrier(windows).astype(jnp.float32)
    x, y = jnp.split(inside - corner, 2, axis=1)
    rows = windows[:, :, 0] * (1 - x[:, None]) + windows[:, :, 1] * x[:, None]
    return rows[:, 0] * (1 - y) + rows[:, 1] * y
