"""The 106 landmarks (layout: `input_pipeline.landmarks`) as vertices of FaceMesh's 468.

Chosen by meaning, then, among vertices of the same feature, by the least mean error against the
exact landmarks of rendered faces of the training split (`benchmarks/landmark_subset.py` prints the
table; the test split has no say in it). Both sides mirror each other. FaceMesh has fewer points
along the jaw than the layout, so that neighbours there share a vertex; it has no iris, so that the
pupils are the centres of the lids.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from input_pipeline.landmarks import GROUPS

# fmt: off
MESH_VERTICES: tuple[int, ...] = (
    # contour: chin, right side, left side
    152,
    34, 234, 93, 147, 132, 213, 138, 172, 136, 136, 150, 150, 176, 176, 148, 152,
    264, 454, 323, 376, 361, 433, 367, 397, 365, 365, 379, 379, 400, 400, 377, 152,
    # right eye: corners, upper and lower lid, pupil and centre (see below); right brow
    133, 246, 157, 158, 160, 153, 23, 144, 145, 145,
    9, 66, 66, 105, 46, 55, 221, 65, 53,
    # mouth: outer, inner
    61, 40, 39, 0, 269, 270, 291, 321, 405, 17, 181, 91,
    62, 41, 13, 271, 292, 402, 14, 178,
    # nose: bridge, left side, right side, base
    6, 197, 5, 4, 351, 456, 360, 438, 461, 122, 236, 131, 218, 238, 19,
    # left eye, left brow
    362, 466, 384, 385, 387, 380, 253, 373, 374, 374,
    9, 296, 296, 334, 276, 285, 441, 295, 283,
)
# fmt: on
"""One vertex a point; pupils (41, 95) and centres of lids (42, 96) are means of `LIDS` instead."""

LIDS: dict[str, tuple[int, ...]] = {
    'right_eye': (7, 163, 144, 145, 153, 154, 173, 157, 158, 159, 160, 161),
    'left_eye': (249, 390, 373, 374, 380, 381, 398, 384, 385, 386, 387, 388),
}
"""The vertices along the lids, corners left out, whose mean stands for the pupil and the centre."""

MESH_EYE_CORNERS = (33, 263)
"""Outer corners, right and left (the subject's)."""


def select_points(mesh: Float[Array, '*n 468 2']) -> Float[Array, '*n 106 2']:
    """The landmarks, in the mesh's units."""
    chosen = mesh[..., np.array(MESH_VERTICES), :]
    for eye, lids in LIDS.items():
        centre = mesh[..., np.array(lids), :].mean(axis=-2, keepdims=True)
        end = GROUPS[eye].stop
        chosen = chosen.at[..., end - 2 : end, :].set(centre)
    return jnp.asarray(chosen)
