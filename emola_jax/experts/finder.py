"""Photos of any size -> the faces in them.

finder = FaceFinder.load()
for faces in finder.find([photo, …]):      # uint8[H, W, 3] RGB each
    for face in faces:                     # the largest first; none is an empty list
        face.box, face.score, face.points, face.crop, face.landmarks
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import cv2
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, UInt8

from emola_jax.experts import mesh, mesh_weights, squares
from emola_jax.experts.blaze_face import SHORT_RANGE
from emola_jax.experts.detection import MAX_OVERLAP
from emola_jax.experts.region import SCALE, region_of
from emola_jax.experts.squares import Square

T = TypeVar('T')

_LARGEST_PHOTO = 2048**2  # pixels in all: beyond it a photo is shrunk for the search
_LARGEST_CROP = 512
# At least, whatever the limit of a photo: FaceMesh may not believe in some of them.
_FACES_OF_VIEW = 16
_MIN_TILE = 192  # pixels: a smaller tile would only be enlarged
_TILES, _SMALL_TILES, _FROM_AFAR = 0.5, 0.25, 1.5
_LONG = 0.4  # of a photo whose shorter side is less than this share of the longer one
# The patch around a face that FaceMesh's turned squares are taken from: room for any angle.
_PATCH_SCALE, _PATCH = 1.6 * SCALE, 320
_CONTAINED = 0.7


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo. Pixel positions have edges at whole numbers.

    Attributes:
      box: x0, y0, x1, y1 of the landmarks' box, in pixels of the photo.
      score: the detector's, 0..1.
      points: f32[106, 2], x and y in pixels of the photo (`input_pipeline.landmarks`).
      crop: u8[S, S, 3], the square face as the model sees it, RGB, upright.
      landmarks: f32[212], the points in [-1, 1] over `crop`.
      square: where `crop` lies in the photo.
    """

    box: tuple[float, float, float, float]
    score: float
    points: Float32[np.ndarray, '106 2']
    crop: UInt8[np.ndarray, 'S S 3']
    landmarks: Float32[np.ndarray, '212']
    square: Square


class Finder(Protocol):
    """Photos -> the faces in them, each with its landmarks."""

    def find(self, photos: Sequence[UInt8[np.ndarray, 'H W 3']]) -> list[list[Face]]:
        """The faces of each photo, the largest first."""
        ...


class _Candidate(NamedTuple):
    photo: int
    score: float
    box: np.ndarray  # f32[4], pixels of the shrunk photo
    keypoints: np.ndarray  # f32[6, 2]


@dataclasses.dataclass(frozen=True, eq=False)
class FaceFinder:
    """Detector and mesh with their weights.

    Attributes:
      params: see `mesh.Params`.
      batch: pictures that go through a net at a time; every call has this size, so that each net
        is compiled once.
      max_faces: at most this many faces a photo, those with the best scores.
      min_score: detections below it are dropped (0.5 is also the detector's own limit).
      min_tile_score: the same for what is found in a tile: many looks, many chances to be wrong.
      min_presence: faces that FaceMesh believes in less are dropped.
      passes: how often FaceMesh looks.
      small_faces: also search tiles of half the photo's size, and of a long photo squares of its
        shorter side, where they have detail to show.
    """

    params: mesh.Params
    batch: int = 32
    max_faces: int = 16
    min_score: float = 0.5
    min_tile_score: float = 0.7
    min_presence: float = 0.5
    passes: int = mesh.PASSES
    small_faces: bool = True

    @classmethod
    def load(cls, **settings: Any) -> FaceFinder:
        """A finder with the pinned weights, fetched if they aren't here; settings as above."""
        return cls(mesh_weights.load_params(), **settings)

    def find(self, photos: Sequence[UInt8[np.ndarray, 'H W 3']]) -> list[list[Face]]:
        """The faces of each photo, the largest first.

        Args:
          photos: RGB, each of its own size.

        Raises:
          ValueError: a photo is not uint8[H, W, 3] or is empty.
        """
        for number, photo in enumerate(photos):
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
                raise ValueError(
                    f'photo {number} is {photo.dtype}{list(photo.shape)}, expected uint8[H, W, 3]'
                )
        small = [_shrink(photo) for photo in photos]
        candidates = self._search(small)
        found: list[list[Face]] = [[] for _ in photos]
        for candidate, points, presence in self._locate(small, candidates):
            if presence < self.min_presence:
                continue
            photo = photos[candidate.photo]
            scale = np.array(photo.shape[1::-1]) / small[candidate.photo].shape[1::-1]
            found[candidate.photo].append(make_face(photo, points * scale, candidate.score))
        return [_best(_without_twins(faces), self.max_faces) for faces in found]

    def _search(self, photos: Sequence[np.ndarray]) -> list[_Candidate]:
        """Candidates of every photo: in the whole of it, in tiles, then from afar and up close."""
        views = [(i, squares.whole(*_size(photo))) for i, photo in enumerate(photos)]
        found = self._detect(photos, views, self.min_score)
        if self.small_faces:
            views = _tile_views(photos, range(len(photos)), _TILES, of_shorter=1.0)
            found += self._detect(photos, views, self.min_tile_score)
        blank = sorted(set(range(len(photos))) - {candidate.photo for candidate in found})
        if blank:
            # A face that fills its photo is too near for the detector, one in a crowd too far.
            more = [(i, squares.whole(*_size(photos[i]), _FROM_AFAR)) for i in blank]
            more += _tile_views(photos, blank, _SMALL_TILES, of_shorter=0.5)
            found += self._detect(photos, more, self.min_tile_score)
        return [one for i in range(len(photos)) for one in _distinct(found, i)]

    def _detect(
        self,
        photos: Sequence[np.ndarray],
        views: Sequence[tuple[int, Square]],
        min_score: float,
    ) -> list[_Candidate]:
        found = []
        for group in _groups(views, self.batch):
            pixels = [squares.cut(photos[i], s, SHORT_RANGE.size, squares.BLACK) for i, s in group]
            faces = mesh.detect_jit(
                self.params,
                jnp.asarray(_filled(pixels, self.batch)),
                max(self.max_faces, _FACES_OF_VIEW),
            )
            for (photo, square), scores, boxes, keypoints in zip(
                group, *(np.asarray(part)[: len(group)] for part in faces), strict=True
            ):
                corner = np.array([square.left, square.top], np.float32)
                for rank in np.flatnonzero((scores > 0) & (scores >= min_score)):
                    box = boxes[rank] * square.side + np.tile(corner, 2)
                    points = keypoints[rank] * square.side + corner
                    found.append(_Candidate(photo, float(scores[rank]), box, points))
        return found

    def _locate(
        self, photos: Sequence[np.ndarray], candidates: Sequence[_Candidate]
    ) -> Iterator[tuple[_Candidate, np.ndarray, float]]:
        """Points (pixels of the shrunk photo) and presence of each candidate."""
        for group in _groups(candidates, self.batch):
            areas = [_patch_square(candidate.box) for candidate in group]
            pixels = [
                squares.cut(photos[one.photo], area, _PATCH, squares.BLACK)
                for one, area in zip(group, areas, strict=True)
            ]
            corners = np.array([[area.left, area.top] for area in areas], np.float32)
            scales = np.array([_PATCH / area.side for area in areas], np.float32)[:, None]
            boxes = np.stack([one.box for one in group]) - np.tile(corners, 2)
            keypoints = np.stack([one.keypoints for one in group]) - corners[:, None]
            region = region_of(
                jnp.asarray(_filled(boxes * scales, self.batch)),
                jnp.asarray(_filled(keypoints * scales[..., None], self.batch)),
            )
            points, presence = mesh.locate_jit(
                self.params, jnp.asarray(_filled(pixels, self.batch)), region, self.passes
            )
            placed = np.asarray(points)[: len(group)] / scales[..., None] + corners[:, None]
            yield from zip(group, placed, np.asarray(presence)[: len(group)].tolist(), strict=True)


def make_face(
    photo: UInt8[np.ndarray, 'H W 3'], points: Float[np.ndarray, '106 2'], score: float
) -> Face:
    """The face with these landmarks (pixels of the photo), cut out as the model sees it."""
    points = points.astype(np.float32)
    square = squares.face_square(points, *_size(photo))
    corner = np.array([square.left, square.top])
    landmarks = (points - corner) * (2 / square.side) - 1
    x0, y0, x1, y1 = (float(edge) for edge in [*points.min(axis=0), *points.max(axis=0)])
    return Face(
        box=(x0, y0, x1, y1),
        score=score,
        points=points,
        crop=squares.cut_face(photo, square, _LARGEST_CROP),
        landmarks=landmarks.astype(np.float32).reshape(-1),
        square=square,
    )


def _shrink(photo: np.ndarray) -> np.ndarray:
    width, height = _size(photo)
    scale = math.sqrt(_LARGEST_PHOTO / (width * height))
    if scale >= 1:
        return photo
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _size(photo: np.ndarray) -> tuple[int, int]:
    return photo.shape[1], photo.shape[0]


def _tile_views(
    photos: Sequence[np.ndarray], which: Sequence[int], zoom: float, *, of_shorter: float
) -> list[tuple[int, Square]]:
    """Tiles of `zoom` of the longer side; of a long photo also those of a share of the shorter."""
    views = []
    for i in which:
        longer, shorter = max(_size(photos[i])), min(_size(photos[i]))
        zooms = [zoom] if shorter >= _LONG * longer else [zoom, of_shorter * shorter / longer]
        views += [
            (i, tile)
            for share in zooms
            if share * longer >= _MIN_TILE
            for tile in squares.tiles(*_size(photos[i]), share)
        ]
    return views


def _patch_square(box: np.ndarray) -> Square:
    side = max(1, round(_PATCH_SCALE * float(max(box[2] - box[0], box[3] - box[1]))))
    x, y = (box[:2] + box[2:]) / 2
    return Square(round(float(x) - side / 2), round(float(y) - side / 2), side)


def _distinct(candidates: Sequence[_Candidate], photo: int) -> list[_Candidate]:
    """One candidate a face of a photo: different views may have found the same one."""
    kept: list[_Candidate] = []
    for one in sorted((c for c in candidates if c.photo == photo), key=lambda c: -c.score):
        if not any(_same_face(one.box, other.box) for other in kept):
            kept.append(one)
    return kept


def _without_twins(faces: Sequence[Face]) -> list[Face]:
    """Sorted by size; of faces on the same place the one with the best score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        box = np.array(face.box)
        if not any(_same_face(box, np.array(other.box)) for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.square.side)


def _best(faces: Sequence[Face], limit: int) -> list[Face]:
    """Those with the best scores, in the order given."""
    best = sorted(range(len(faces)), key=lambda i: -faces[i].score)[:limit]
    return [faces[i] for i in sorted(best)]


def _same_face(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes overlap as those of one face do, or one contains most of the other."""
    sides = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0)
    common = float(sides.prod())
    areas = [float(np.maximum(box[2:] - box[:2], 0).prod()) for box in (one, other)]
    union, smaller = sum(areas) - common, min(areas)
    return common > MAX_OVERLAP * union or common > _CONTAINED * smaller > 0


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _filled(rows: Sequence[np.ndarray] | np.ndarray, size: int) -> np.ndarray:
    """Stacked, and filled up with zeros to `size` rows."""
    stacked = np.stack(list(rows))
    return np.concatenate(
        [stacked, np.zeros((size - len(rows), *stacked.shape[1:]), stacked.dtype)]
    )
