"""Visibility by OpenCV's software rasteriser: which triangle does each pixel see, and where."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fragments:
    """The pixels that see a triangle.

    Attributes:
      pixel: intp[N], flat (row-major) pixel indices, ascending.
      triangle: int32[N], the triangle seen.
      weights: float32[N, 3], barycentric coordinates in the picture plane.
    """

    pixel: NDArray[np.intp]
    triangle: NDArray[np.int32]
    weights: NDArray[np.float32]

    def part(self, chosen: NDArray[np.intp]) -> Fragments:
        """The fragments at these positions."""
        return Fragments(self.pixel[chosen], self.triangle[chosen], self.weights[chosen])

    def interpolate(self, corner_values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values at the pixels, float32[N, C], from values at corners, float32[F, 3, C]."""
        weights = self.weights.T[..., None]
        mixed = corner_values[self.triangle, 0] * weights[0]
        mixed += corner_values[self.triangle, 1] * weights[1]
        mixed += corner_values[self.triangle, 2] * weights[2]
        return mixed


def rasterize(
    screen: NDArray[np.float32],
    triangles: NDArray[np.int32],
    width: int,
    height: int,
    two_sided: NDArray[np.bool_] | None = None,
) -> Fragments:
    """Finds the nearest triangle at each pixel centre.

    Args:
      screen: float32[V, 3], picture coordinates in pixels (x right, y down; the centre of the first
        pixel is at 0.5, 0.5) and the depth, positive and growing with the distance.
      triangles: int32[F, 3]; counter-clockwise (in a y-up view) is the front, backs are not seen.
      width: pixels across.
      height: pixels down.
      two_sided: bool[F], triangles whose back is seen too.
    """
    # A camera with a right angle of view sees (x*z, y*z, -z) at the picture point (x, y).
    depth = screen[:, 2]
    half = height / 2
    points = np.stack(
        [
            (screen[:, 0] - width / 2) / half * depth,
            (half - screen[:, 1]) / half * depth,
            -depth,
        ],
        -1,
    ).astype(np.float32)
    near, far = float(depth.min()) * 0.9, float(depth.max()) * 1.1
    colour = np.zeros((height, width, 3), np.float32)
    buffer = np.full((height, width), far, np.float32)
    sides = np.zeros(len(triangles), bool) if two_sided is None else two_sided
    for both, culling in ((False, cv2.RASTERIZE_CULLING_CW), (True, cv2.RASTERIZE_CULLING_NONE)):
        chosen = np.flatnonzero(sides == both)
        if len(chosen):
            _draw(points[triangles[chosen]], chosen, colour, buffer, (near, far), culling)
    numbers = colour[..., 0].ravel()
    pixel = np.flatnonzero(numbers)
    triangle = (numbers[pixel] - 1).astype(np.int32)
    weights = _barycentric(pixel, triangle, screen, triangles, width)
    return Fragments(pixel, triangle, weights)


def _draw(
    corners: NDArray[np.float32],
    numbers: NDArray[np.intp],
    colour: NDArray[np.float32],
    buffer: NDArray[np.float32],
    depth_range: tuple[float, float],
    culling: int,
) -> None:
    """Writes each triangle's number + 1 into the colour buffer where it is nearest."""
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_FLAT)
    settings.setCullingMode(culling)
    flat = np.repeat(numbers + 1, 3).astype(np.float32)
    cv2.triangleRasterize(
        corners.reshape(-1, 3),
        np.arange(corners.size // 3, dtype=np.int32).reshape(-1, 3),
        np.repeat(flat[:, None], 3, axis=1),
        colour,
        buffer,
        np.eye(4, dtype=np.float32),
        np.pi / 2,
        *depth_range,
        settings,
    )


def _barycentric(
    pixel: NDArray[np.intp],
    triangle: NDArray[np.int32],
    screen: NDArray[np.float32],
    triangles: NDArray[np.int32],
    width: int,
) -> NDArray[np.float32]:
    x = (pixel % width + 0.5).astype(np.float32)
    y = (pixel // width + 0.5).astype(np.float32)
    corner = screen[triangles[triangle], :2]
    (x0, y0), (x1, y1), (x2, y2) = (corner[:, i].T for i in range(3))
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    area = np.where(np.abs(area) < 1e-9, 1, area)
    first = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
    second = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
    weights = np.stack([first, second, 1 - first - second], -1)
    weights = np.clip(weights, 0, 1)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def vertex_normals(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Area-weighted unit normals, float32[V, 3]."""
    corner = vertices[triangles]
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.empty_like(vertices)
    for axis in range(3):
        repeated = np.repeat(face[:, axis], 3)
        total[:, axis] = np.bincount(triangles.ravel(), repeated, len(vertices))
    length: NDArray[np.float32] = np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
    return total / length
