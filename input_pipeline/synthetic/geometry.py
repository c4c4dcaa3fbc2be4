"""The shape of one face: identity, action units and hair volume applied to the rig."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from input_pipeline.synthetic.action_units import AuIntensities, face_unit_weights
from input_pipeline.synthetic.identity import Identity
from input_pipeline.synthetic.landmark_vertices import LANDMARK_VERTICES, landmark_points
from input_pipeline.synthetic.raster import vertex_normals
from input_pipeline.synthetic.rig import EYE, LASHES, SKIN, TEETH, TONGUE, Rig
from input_pipeline.synthetic.texture import hair_height

_HAIR_THICKNESS = {'bald': 0.0, 'buzz': 0.015, 'short': 0.09, 'long': 0.13}
# The base mesh's lids hang low; a rested face has them higher.
_RESTING_LIDS = {'fu/eyeWideLeft': 0.2, 'fu/eyeWideRight': 0.2}
_LASH_LENGTH = (0.10, 0.20)
_AXIS_Z = 0.55


@dataclass(frozen=True)
class HeadShape:
    """A shaped head.

    Attributes:
      vertices: float32[V, 3], decimetres.
      normals: float32[V, 3].
      neutral_landmarks: float32[106, 3], of the same person with a neutral face.
      jaw_open: 0 closed .. 1 open.
      mouth_open: whether the lips part.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    neutral_landmarks: NDArray[np.float32]
    jaw_open: float
    mouth_open: bool


class HeadShaper:
    """Shapes heads of one rig; holds what all of them share."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.landmark_indices = rig.from_original(LANDMARK_VERTICES)
        self._left = np.clip(0.5 + rig.vertices[:, :1] / 0.1, 0, 1)
        self._skin = rig.vertices_of(SKIN)
        self._skin_angle = np.arctan2(
            rig.vertices[self._skin, 0], rig.vertices[self._skin, 2] - _AXIS_Z
        )
        self._lashes = rig.vertices_of(LASHES)
        self._lash_roots = _nearest(rig.vertices, self._lashes, self._skin)
        self._tongue = rig.vertices_of(TONGUE)
        self._teeth = rig.vertices_of(TEETH)
        on_ear = rig.masks[2] > 77
        size = on_ear.shape[0]
        at = np.clip((rig.texture_uv * [1, -1] + [0, 1]) * size, 0, size - 1).astype(int)
        ear_triangles = on_ear[at[..., 1], at[..., 0]].any(1) & (rig.material == SKIN)
        self._hairy = ~np.isin(self._skin, rig.triangles[ear_triangles])

    def shape(self, person: Identity, aus: AuIntensities) -> HeadShape:
        """Shapes the head of a person who shows the action units."""
        rig = self._rig
        neutral = rig.vertices + rig.displacement({**person.shape, **_RESTING_LIDS})
        whole, halves = face_unit_weights(aus)
        vertices = neutral + rig.displacement({f'fu/{n}': w for n, w in whole.items()})
        for name, (left, right) in halves.items():
            move = rig.displacement({f'fu/{name}': 1.0})
            vertices += move * (self._left * left + (1 - self._left) * right)
        jaw_open = min(whole.get('jawOpen', 0.0) / 0.8, 1.0)
        self._settle_mouth(vertices)
        shortest, longest = _LASH_LENGTH
        length = shortest + (longest - shortest) * person.lashes
        roots = vertices[self._lash_roots]
        vertices[self._lashes] = roots + length * (vertices[self._lashes] - roots)
        self._raise_hair(vertices, person)
        return HeadShape(
            vertices=vertices,
            normals=vertex_normals(vertices, rig.triangles),
            neutral_landmarks=landmark_points(neutral, self.landmark_indices),
            jaw_open=jaw_open,
            mouth_open=bool(aus) and jaw_open > 0.05,
        )

    def _settle_mouth(self, vertices: NDArray[np.float32]) -> None:
        """Draws the tongue back, so that it does not fill the open mouth."""
        vertices[self._tongue] *= np.array([0.9, 1, 1], np.float32)
        vertices[self._tongue] += np.array([0, -0.05, -0.12], np.float32)

    def _raise_hair(self, vertices: NDArray[np.float32], person: Identity) -> None:
        """Lifts the scalp along its normals by the volume of the hair; ears stay where they are."""
        thickness = _HAIR_THICKNESS[person.hair_style]
        scalp = vertices[self._skin]
        if thickness:
            rest = self._rig.vertices[self._skin]
            height = hair_height(rest, self._skin_angle, person)
            rng = np.random.default_rng([person.seed, 3])
            waves = np.sin(rest @ rng.normal(0, 3, (3, 6)) + rng.uniform(0, 6.28, 6)).mean(1)
            lift = np.sqrt(np.clip(height / 0.35, 0, 1)) * (1 + 0.5 * waves) * self._hairy
            normals = vertex_normals(vertices, self._rig.triangles)[self._skin]
            scalp += normals * (thickness * lift)[:, None]
        vertices[self._skin] = scalp


def eye_directions(rig: Rig) -> NDArray[np.float32]:
    """Unit directions from the eyeballs' centres at rest, float32[F, 3, 3]; zero off the eyes."""
    directions = np.zeros((len(rig.triangles), 3, 3), np.float32)
    on_eye = rig.material == EYE
    for sign in (-1, 1):
        chosen = on_eye & (sign * rig.vertices[rig.triangles][:, :, 0].mean(1) > 0)
        corner = rig.vertices[rig.triangles[chosen]]
        points = corner.reshape(-1, 3)
        pupil = points[points[:, 2] > points[:, 2].max() - 0.004].mean(0)
        middle_z = (points[:, 2].max() + points[:, 2].min()) / 2
        offset = corner - np.array([pupil[0], pupil[1], middle_z], np.float32)
        directions[chosen] = offset / np.linalg.norm(offset, axis=-1, keepdims=True)
    return directions


def _nearest(
    vertices: NDArray[np.float32], queries: NDArray[np.intp], candidates: NDArray[np.intp]
) -> NDArray[np.intp]:
    gap = vertices[queries][:, None] - vertices[candidates][None]
    return candidates[np.argmin((gap**2).sum(-1), axis=1)]
