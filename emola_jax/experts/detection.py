"""What BlazeFace's raw output means: anchors, boxes, and one box a face.

The figures are those of MediaPipe's published graph for this net (SsdAnchors-, TensorsToDetections-
and NonMaxSuppressionCalculator options of `face_detection_short_range_common.pbtxt`).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emola_jax.experts.blaze_face import KEYPOINTS, SHORT_RANGE

MIN_SCORE = 0.5
"""Anchors below it are no face."""

MAX_OVERLAP = 0.3
"""Boxes whose intersection over union is above it are the same face."""

_MAX_LOGIT = 100.0
_STRIDES = (8, 16)  # of the maps that the two heads look at


class Detections(NamedTuple):
    """Faces of a batch of square pictures, best first; a score of 0 means no more faces.

    Positions are shares of the picture's side: (0, 0) is its top left corner, (1, 1) the opposite.

    Attributes:
      scores: f32[B, faces], 0..1.
      boxes: f32[B, faces, 4], x0, y0, x1, y1 from the brows to the chin.
      keypoints: f32[B, faces, 6, 2], right eye, left eye, nose tip, mouth, right ear, left ear.
    """

    scores: Array
    boxes: Array
    keypoints: Array


def anchor_centres() -> np.ndarray:
    """f32[896, 2], x and y of every anchor as shares of the side: cell centres, row by row."""
    grids = []
    for stride, (_, anchors) in zip(_STRIDES, SHORT_RANGE.heads, strict=True):
        cells = SHORT_RANGE.size // stride
        middle = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(middle, middle, indexing='ij')
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), anchors, axis=0))
    return np.concatenate(grids).astype(np.float32)


def decode(
    logits: Float[Array, 'B anchors'], raw: Float[Array, 'B anchors 16']
) -> tuple[Float[Array, 'B anchors'], Float[Array, 'B anchors 16']]:
    """Raw output -> (scores 0..1, [x0, y0, x1, y1, then x, y of six key points] as shares)."""
    scores = jax.nn.sigmoid(jnp.clip(logits, -_MAX_LOGIT, _MAX_LOGIT))
    anchors = jnp.asarray(anchor_centres())
    shares = raw / SHORT_RANGE.size
    centre, half = anchors + shares[..., 0:2], shares[..., 2:4] / 2
    points = shares[..., 4:] + jnp.tile(anchors, KEYPOINTS)
    return scores, jnp.concatenate([centre - half, centre + half, points], axis=-1)


def suppress(
    scores: Float[Array, 'B anchors'], places: Float[Array, 'B anchors 16'], faces: int
) -> Detections:
    """One detection a face: the boxes that overlap the best one are averaged, by score, into it.

    Args:
      scores: of `decode`.
      places: of `decode`.
      faces: at most this many a picture.
    """

    def next_face(left: Array, place: Array) -> tuple[Array, tuple[Array, Array]]:
        best = jnp.argmax(left)
        score = left[best]
        same = (overlap(place[best, :4], place[:, :4]) > MAX_OVERLAP) & (left > 0)
        weights = jnp.where(same, left, 0.0)
        # With nothing left there is nothing to divide by.
        merged = weights @ place / jnp.maximum(weights.sum(), 1e-9)
        return jnp.where(same, 0.0, left), (score, merged)

    def of_picture(score: Array, place: Array) -> tuple[Array, Array]:
        left = jnp.where(score >= MIN_SCORE, score, 0.0)
        _, found = jax.lax.scan(lambda carry, _: next_face(carry, place), left, None, faces)
        return found

    best, merged = jax.vmap(of_picture)(scores, places)
    points = merged[..., 4:].reshape(*merged.shape[:2], KEYPOINTS, 2)
    return Detections(best, merged[..., :4], points)


def overlap(box: Float[Array, '*#n 4'], boxes: Float[Array, '*n 4']) -> Float[Array, '*n']:
    """Intersection over union of boxes x0, y0, x1, y1; 0 where a box is empty."""
    low = jnp.maximum(box[..., :2], boxes[..., :2])
    high = jnp.minimum(box[..., 2:], boxes[..., 2:])
    common = jnp.prod(jnp.maximum(high - low, 0.0), axis=-1)
    union = _area(box) + _area(boxes) - common
    return jnp.where(union > 0, common / jnp.where(union > 0, union, 1.0), 0.0)


def _area(boxes: Array) -> Array:
    return jnp.prod(jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1)
