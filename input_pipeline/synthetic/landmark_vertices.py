"""The mesh vertices behind the 106 landmarks (layout: `input_pipeline.landmarks`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from input_pipeline.landmarks import GROUPS, POINTS

# Vertex numbers of base.obj; the mesh is mirror-symmetric, and so is each pair of points.
# fmt: off
LANDMARK_VERTICES: tuple[int, ...] = (
    # contour
    5296,
    5402, 5411, 868, 5246, 5238, 910, 5241, 5240, 894, 741, 742, 3697, 922, 914, 5292, 919,
    12001, 12010, 7573, 11854, 11847, 7612, 11850, 11849, 7596, 7461, 7462, 10365, 7624, 7616,
    11898, 7621,
    # right eye, right brow
    4868, 17, 57, 1056, 8, 1071, 42, 36, 14670, 14670,
    228, 223, 229, 231, 262, 209, 180, 204, 225,
    # mouth: outer, inner
    527, 447, 409, 455, 7169, 7207, 7272, 7166, 7235, 492, 480, 406,
    528, 5359, 537, 11961, 7273, 7280, 540, 535,
    # nose
    133, 131, 164, 5134, 6906, 11864, 7052, 7097, 7066, 122, 5256, 283, 335, 300, 302,
    # left eye, left brow
    11486, 6801, 6841, 7748, 6792, 7763, 6826, 6820, 14598, 14598,
    7001, 6997, 7002, 7004, 7031, 6984, 6956, 6979, 6999,
)
# fmt: on
"""One vertex of base.obj a point; the centres of the lids (42, 96) are means of eight instead."""


def landmark_points(
    vertices: NDArray[np.float32], indices: NDArray[np.intp]
) -> NDArray[np.float32]:
    """The 106 points in the space of `vertices`.

    Args:
      vertices: float32[V, C], positions in the head or in the picture.
      indices: intp[106], rows of `vertices` for `LANDMARK_VERTICES`.

    Returns:
      float32[106, C].
    """
    points = vertices[indices].copy()
    assert len(points) == POINTS
    for eye in (GROUPS['right_eye'], GROUPS['left_eye']):
        points[eye.stop - 1] = points[eye.start : eye.start + 8].mean(0)
    return points
