"""Ambient occlusion of the vertices: how much of the sky each one sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from input_pipeline.synthetic.raster import rasterize, vertex_normals

_DIRECTIONS = 64
_RESOLUTION = 256
_BIAS = 0.035


def ambient_occlusion(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32]
) -> NDArray[np.float32]:
    """The cosine-weighted share of directions in which nothing hides a vertex, float32[V].

    The directions form a Fibonacci lattice; those from below count for a third, since a body is
    there. Each is answered by one depth map in parallel projection.
    """
    order = np.arange(_DIRECTIONS) + 0.5
    polar = np.arccos(1 - 2 * order / _DIRECTIONS)
    turn = np.pi * (1 + 5**0.5) * order
    directions = np.stack(
        [np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1
    )
    normals = vertex_normals(vertices, triangles)
    seen, total = np.zeros(len(vertices)), np.full(len(vertices), 1e-6)
    for direction in directions.astype(np.float32):
        weight = np.maximum(normals @ direction, 0) * (1.0 if direction[1] > -0.4 else 0.35)
        seen += weight * _visible(vertices, triangles, direction)
        total += weight
    return np.clip(seen / total, 0, 1).astype(np.float32)


def _visible(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32], direction: NDArray[np.float32]
) -> NDArray[np.bool_]:
    axis = np.eye(3, dtype=np.float32)[int(np.abs(direction).argmin())]
    right = np.cross(axis, direction)
    right /= np.linalg.norm(right)
    up = np.cross(direction, right)
    centred = vertices - (vertices.min(0) + vertices.max(0)) / np.float32(2)
    radius = float(np.linalg.norm(centred, axis=1).max())
    half = _RESOLUTION / 2
    scale = 0.96 * half / radius
    # Far away, so that the rasteriser's perspective does not matter.
    depth = 10 * radius - centred @ direction
    screen = np.stack([half + centred @ right * scale, half - centred @ up * scale, depth], -1)
    screen = screen.astype(np.float32)
    both = np.ones(len(triangles), bool)
    fragments = rasterize(screen, triangles, _RESOLUTION, _RESOLUTION, both)
    nearest = np.full(_RESOLUTION * _RESOLUTION, np.inf, np.float32)
    nearest[fragments.pixel] = fragments.interpolate(depth[triangles][..., None])[:, 0]
    at = np.clip(screen[:, :2].astype(int), 0, _RESOLUTION - 1)
    return depth < nearest[at[:, 1] * _RESOLUTION + at[:, 0]] + _BIAS
