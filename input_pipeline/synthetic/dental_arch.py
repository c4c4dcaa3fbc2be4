"""Two smooth rows of teeth in place of the base mesh's open blocks, which jut out at an angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COLUMNS = 25
_ROWS = 4
_HALF_ANGLE = np.radians(82.0)
_NEIGHBOURS = 4


@dataclass(frozen=True)
class DentalArch:
    """Two rows of teeth.

    Attributes:
      vertices: float32[N, 3].
      triangles: int32[M, 3], counted on after the base mesh.
      corner_uv: float32[M, 3, 2], place along the arch in -1..1 and height in 0 (gum) .. 1 (edge).
      deltas: int16[K, N, 3], blend shapes.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    corner_uv: NDArray[np.float32]
    deltas: NDArray[np.int16]


def add_dental_arches(
    vertices: NDArray[np.float32],
    deltas: NDArray[np.int16],
    upper: NDArray[np.intp],
    lower: NDArray[np.intp],
) -> DentalArch:
    """Builds the arches and lets them follow the blocks they replace.

    Args:
      vertices: float32[V, 3], base mesh with the original teeth.
      deltas: int16[K, V, 3], blend shapes.
      upper: indices of the original upper teeth.
      lower: indices of the original lower teeth.

    Returns:
      The two arches; triangle indices continue after the V vertices.
    """
    rows = (
        _arch(front=1.455, gum=(6.80, 6.82), edge=(6.612, 6.66)),
        _arch(front=1.425, gum=(6.43, 6.50), edge=(6.600, 6.65)),
    )
    sheet, uv = _strip()
    # The lower row runs from the gum upwards, so its winding is the other way round.
    triangles = [len(vertices) + sheet, len(vertices) + len(rows[0]) + sheet[:, ::-1]]
    moved = [
        _follow(row, vertices[source], deltas[:, source])
        for row, source in zip(rows, (upper, lower), strict=True)
    ]
    return DentalArch(
        vertices=np.concatenate(rows),
        triangles=np.concatenate(triangles).astype(np.int32),
        corner_uv=np.concatenate([uv, uv[:, ::-1]]),
        deltas=np.concatenate(moved, axis=1),
    )


def _arch(front: float, gum: tuple[float, float], edge: tuple[float, float]) -> NDArray[np.float32]:
    """One row of teeth, float32[rows*columns, 3], from gum (first row) to edge, right to left."""
    angle = np.linspace(-_HALF_ANGLE, _HALF_ANGLE, _COLUMNS)
    back = (np.abs(angle) / _HALF_ANGLE) ** 2
    t = np.linspace(0, 1, _ROWS)[:, None]
    gum_y = gum[0] + (gum[1] - gum[0]) * back
    edge_y = edge[0] + (edge[1] - edge[0]) * back
    y = gum_y * (1 - t) + edge_y * t
    bulge = 0.012 * np.sin(np.pi * t)
    x = (0.235 + bulge) * np.sin(angle)
    z = front - (0.40 - bulge) * (1 - np.cos(angle))
    return np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)


def _strip() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Triangles of a rows x columns grid and each corner's (arch position, height) pair."""
    index = np.arange(_ROWS * _COLUMNS).reshape(_ROWS, _COLUMNS)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
    # Row 0 is on top and columns run to +x: down, right, up is counter-clockwise from the front.
    triangles = np.concatenate([np.stack([a, d, c], 1), np.stack([a, c, b], 1)])
    along = np.tile(np.linspace(-1, 1, _COLUMNS), _ROWS)
    height = np.repeat(np.linspace(0, 1, _ROWS), _COLUMNS)
    uv = np.stack([along, height], -1).astype(np.float32)
    return triangles.astype(np.int32), uv[triangles]


def _follow(
    row: NDArray[np.float32], source: NDArray[np.float32], deltas: NDArray[np.int16]
) -> NDArray[np.int16]:
    """Blend shapes of new vertices: inverse-distance means over their nearest original ones."""
    distance = np.linalg.norm(row[:, None] - source[None], axis=-1)
    nearest = np.argsort(distance, axis=1, kind='stable')[:, :_NEIGHBOURS]
    weight = 1 / (np.take_along_axis(distance, nearest, 1) + 0.02)
    weight /= weight.sum(1, keepdims=True)
    mean = (deltas[:, nearest] * weight[None, :, :, None]).sum(2)
    return np.round(mean).astype(np.int16)
