"""The skin atlas: the head unrolled onto a picture, where skin is painted before it is lit.

The horizontal axis is the angle around the head's vertical axis, the vertical one the height; both
are stretched so that the face gets most of the texels. The atlas can have any resolution: a face of
96 pixels needs one of 256 x 224.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from input_pipeline.synthetic.raster import rasterize
from input_pipeline.synthetic.rig import SKIN, Rig

_AXIS_Z = 0.55
_MIDDLE_Y = 7.05
_HALF_HEIGHT = 1.9
_ANGLE_STRETCH = 1.5
_HEIGHT_STRETCH = 1.2


@dataclass(frozen=True)
class SkinAtlas:
    """Where each texel of the atlas lies on the resting head.

    Attributes:
      position: float32[H, W, 3], rest position in decimetres.
      angle: float32[H, W], radians around the head: 0 in front, positive on the subject's left.
      left: float32[H, W], 1 on the subject's left half, 0 on the right, smooth between.
      lips, eyelids, ears: float32[H, W] in 0..1, the rig's masks.
      pixel: the size in decimetres of a pixel of the picture that the atlas is made for.
    """

    position: NDArray[np.float32]
    angle: NDArray[np.float32]
    left: NDArray[np.float32]
    lips: NDArray[np.float32]
    eyelids: NDArray[np.float32]
    ears: NDArray[np.float32]
    pixel: float

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in texels."""
        return self.position.shape[1], self.position.shape[0]


def atlas_size(image_size: int) -> tuple[int, int]:
    """(width, height) in texels for square pictures of `image_size` pixels."""
    width = int(np.clip(64 * round(image_size * 2.7 / 64), 256, 1024))
    return width, width * 7 // 8


def atlas_coordinates(rig: Rig) -> NDArray[np.float32]:
    """Atlas coordinates of every triangle corner, float32[F, 3, 2] in 0..1 (right, down)."""
    corner = rig.vertices[rig.triangles]
    angle = np.arctan2(corner[..., 0], corner[..., 2] - _AXIS_Z)
    # A triangle across the back of the head must not span the whole atlas.
    wraps = angle.max(1) - angle.min(1) > np.pi
    side = np.where(angle.mean(1) < 0, -np.pi, np.pi)[:, None]
    angle = np.where(wraps[:, None] & (np.sign(angle) != np.sign(side)), side, angle)
    across = 0.5 + 0.5 * _stretch(angle / np.pi, _ANGLE_STRETCH)
    down = 0.5 + 0.5 * _stretch((_MIDDLE_Y - corner[..., 1]) / _HALF_HEIGHT, _HEIGHT_STRETCH)
    return np.stack([across, down], -1).astype(np.float32)


def build_atlas(rig: Rig, image_size: int, frame_height: float) -> SkinAtlas:
    """The atlas for square pictures of `image_size` pixels that show `frame_height` decimetres."""
    width, height = atlas_size(image_size)
    coordinates = atlas_coordinates(rig)
    skin = np.flatnonzero(rig.material == SKIN)
    corners = coordinates[skin] * np.array([width, height], np.float32)
    rest = rig.vertices[rig.triangles[skin]]
    # Where surfaces lie behind one another (lips, nostrils, ears) the outermost one is painted.
    radius = np.hypot(rest[..., 0], rest[..., 2] - _AXIS_Z)
    screen = np.concatenate([corners, 10 - radius[..., None]], -1).reshape(-1, 3)
    triangles = np.arange(len(screen), dtype=np.int32).reshape(-1, 3)
    both = np.ones(len(triangles), bool)
    fragments = rasterize(screen.astype(np.float32), triangles, width, height, both)

    values = np.concatenate([rest, rig.texture_uv[skin]], -1)
    grid = np.zeros((height * width, 5), np.float32)
    grid[fragments.pixel] = fragments.interpolate(values)
    covered = np.zeros(height * width, bool)
    covered[fragments.pixel] = True
    grid = _fill(grid.reshape(height, width, 5), covered.reshape(height, width))
    position = grid[..., :3]
    lips, eyelids, ears = (_sample(mask, grid[..., 3:]) for mask in rig.masks)
    return SkinAtlas(
        position=position,
        angle=np.arctan2(position[..., 0], position[..., 2] - _AXIS_Z),
        left=np.clip(0.5 + position[..., 0] / 0.08, 0, 1),
        lips=_blur(lips, 0.006, width),
        eyelids=_blur(eyelids, 0.012, width),
        ears=_blur(ears, 0.012, width),
        pixel=frame_height / image_size,
    )


def texel_angle(across: NDArray[np.float32]) -> NDArray[np.floating]:
    """Radians around the head of horizontal atlas coordinates in 0..1."""
    value = 2 * across - 1
    size = np.abs(value)
    return np.pi * np.sign(value) * size / (1 + _ANGLE_STRETCH * (1 - size))


def _stretch(value: NDArray[np.floating], amount: float) -> NDArray[np.floating]:
    """Maps -1..1 onto itself, 1 + amount times steeper in the middle than linear."""
    return value * (1 + amount) / (1 + amount * np.abs(value))


def _fill(grid: NDArray[np.float32], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Gives texels that no triangle covers the values of the nearest one that has some."""
    _, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros((int(labels.max()) + 1, grid.shape[-1]), np.float32)
    by_label[labels[covered]] = grid[covered]
    return by_label[labels]


def _sample(mask: NDArray[np.uint8], uv: NDArray[np.float32]) -> NDArray[np.float32]:
    size = mask.shape[0]
    across = np.ascontiguousarray(uv[..., 0]) * size - 0.5
    down = (1 - np.ascontiguousarray(uv[..., 1])) * size - 0.5
    sampled = cv2.remap(mask, across, down, cv2.INTER_LINEAR)
    return sampled.astype(np.float32) / np.float32(255)


def _blur(mask: NDArray[np.float32], share: float, width: int) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(mask, (0, 0), max(share * width * 0.2, 0.5))
    return blurred.astype(np.float32)
