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
    """The region's pixels, bilinear; outside of the picture there is black.

    Args:
      images: of any size.
      region: one a picture.
      size: pixels a side of the result.
    """
    return jnp.stack(blend(look_up(images, region, size)), axis=-1)


class Lookups(NamedTuple):
    """What `sample` reads, and how it weighs it.

    Two steps, since XLA on CPU fuses them when they are one program, and then computes places again
    for each of the pixels that are read there, and those again for each colour.

    Attributes:
      pixels: u32[B, (H+2) * (W+2)], a framed picture; red, green and blue are one number, so that
        four are looked up for a place and not twelve.
      row: i32[], numbers in a row of it.
      first: i32[B, size, size], where the upper left of the four pixels around each place is.
      x, y: f32[B, size, size], how far right of and below it the place is.
    """

    pixels: Array
    row: Array
    first: Array
    x: Array
    y: Array


def look_up(images: UInt8[Array, 'B H W 3'], region: Region, size: int) -> Lookups:
    """The first step of `sample`."""
    batch, height, width, _ = images.shape
    middle = (jnp.arange(size) + 0.5) / size
    grid = jnp.stack(jnp.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    places = place_points(jnp.broadcast_to(grid, (batch, *grid.shape)), region) - 0.5
    # Beyond the frame all is black, as the frame is.
    x, y = (jnp.clip(places[..., i] + 1, 0, side + 1) for i, side in enumerate((width, height)))
    column, row = jnp.minimum(jnp.floor(x), width), jnp.minimum(jnp.floor(y), height)
    first = (row * (width + 2) + column).astype(jnp.int32)
    rows = images.reshape(batch, height, 3 * width).astype(jnp.uint32)
    red, green, blue = (rows[..., i::3] for i in range(3))
    framed = jnp.pad(red | green << 8 | blue << 16, ((0, 0), (1, 1), (1, 1)))
    squares = (one.reshape(batch, size, size) for one in (first, x - column, y - row))
    return Lookups(framed.reshape(batch, -1), jnp.int32(width + 2), *squares)


def blend(lookups: Lookups) -> tuple[Float[Array, 'B size size'], ...]:
    """The second step of `sample`: red, green and blue apart, 0..255."""
    pixels, row, first, x, y = lookups

    def corner(offset: Array | int) -> Array:
        read = jax.vmap(lambda one, where: one.at[where].get(mode='promise_in_bounds'))
        return jnp.asarray(read(pixels, first + offset))

    corners = [corner(offset) for offset in (0, 1, row, row + 1)]

    def colour(shift: int) -> Array:
        a, b, c, d = ((one >> shift & 255).astype(jnp.float32) for one in corners)
        return (a * (1 - x) + b * x) * (1 - y) + (c * (1 - x) + d * x) * y

    return colour(0), colour(8), colour(16)
