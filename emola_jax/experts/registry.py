"""The landmark experts behind one call: pictures -> 212 numbers each, or none where no face is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Float32, UInt8

from emola_jax.errors import UserError
from emola_jax.experts.finder import Face, FaceFinder, Finder
from emola_jax.experts.insightface import PREPROCESSINGS, InsightFaceExpert

_FOREHEAD = 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class InsightFaceFinder:
    """Faces as `finder` finds them, with the landmarks of 2d106det.

    Attributes:
      finder: of the faces.
      net: of the landmarks.
      preprocessing: one of `PREPROCESSINGS`; 'reference' shows the net the whole crop.
    """

    finder: FaceFinder
    net: InsightFaceExpert
    preprocessing: str = 'insightface'

    def find(self, photos: Sequence[UInt8[np.ndarray, 'H W 3']]) -> list[list[Face]]:
        """See `Finder`."""
        return [
            [self._with_own(face, photo) for face in faces]
            for photo, faces in zip(photos, self.finder.find(photos), strict=True)
        ]

    def _with_own(self, face: Face, photo: UInt8[np.ndarray, 'H W 3']) -> Face:
        square = face.square
        corner = np.array([square.left, square.top])
        if self.preprocessing == 'reference':
            landmarks = self.net.reference([face.crop])[0].reshape(-1, 2)
            points = (landmarks + 1) * (square.side / 2) + corner
        else:
            points = self.net.insightface([photo], [_box(face)])[0]
            landmarks = (points - corner) * (2 / square.side) - 1
        return dataclasses.replace(
            face,
            points=points.astype(np.float32),
            landmarks=landmarks.astype(np.float32).reshape(-1),
        )


class Expert(Protocol):
    """Finds the landmarks of the largest face of each picture."""

    def extract(
        self, photos: Sequence[UInt8[np.ndarray, 'H W 3']]
    ) -> list[Float32[np.ndarray, '212'] | None]:
        """f32[212] in [-1, 1] over the picture as the expert's layout has it; None: no face."""
        ...


@dataclasses.dataclass(frozen=True)
class MeshExpert:
    """BlazeFace and FaceMesh; over the picture padded to a square."""

    finder: FaceFinder

    def extract(
        self, photos: Sequence[UInt8[np.ndarray, 'H W 3']]
    ) -> list[Float32[np.ndarray, '212'] | None]:
        """See `Expert`."""
        return [
            over_square(faces[0].points, photo) if faces else None
            for photo, faces in zip(photos, self.finder.find(photos), strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class BoxedExpert:
    """2d106det on the face that BlazeFace finds; over the picture padded to a square."""

    finder: FaceFinder
    net: InsightFaceExpert

    def extract(
        self, photos: Sequence[UInt8[np.ndarray, 'H W 3']]
    ) -> list[Float32[np.ndarray, '212'] | None]:
        """See `Expert`."""
        found = [faces[0] if faces else None for faces in self.finder.find(photos)]
        shown = [(photo, face) for photo, face in zip(photos, found, strict=True) if face]
        if not shown:
            return [None] * len(photos)
        points = iter(
            self.net.insightface([photo for photo, _ in shown], [_box(face) for _, face in shown])
        )
        return [
            over_square(next(points), photo) if face else None
            for photo, face in zip(photos, found, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class ReferenceExpert:
    """2d106det as the released landmarks were made: on the whole picture, stretched to a square."""

    net: InsightFaceExpert

    def extract(
        self, photos: Sequence[UInt8[np.ndarray, 'H W 3']]
    ) -> list[Float32[np.ndarray, '212'] | None]:
        """See `Expert`; it never says that there is no face."""
        return list(self.net.reference(list(photos)))


def load_finder(name: str = 'mesh', preprocessing: str = 'insightface', **settings: Any) -> Finder:
    """What finds the faces of photos and their landmarks.

    Args:
      name: 'mesh', or 'onnx=FILE'.
      preprocessing: of an ONNX expert, one of `PREPROCESSINGS`.
      settings: of `FaceFinder`.

    Raises:
      UserError: another name, or weights that cannot be had.
    """
    file = _onnx_file(name, preprocessing)
    finder = FaceFinder.load(**settings)
    if file is None:
        return finder
    return InsightFaceFinder(finder, InsightFaceExpert.load(file), preprocessing)


def _onnx_file(name: str, preprocessing: str) -> Path | None:
    kind, _, file = name.partition('=')
    if kind not in ('mesh', 'onnx') or (kind == 'onnx') != bool(file):
        raise UserError(f"expert is {name!r}: expected 'mesh' or 'onnx=FILE'")
    if preprocessing not in PREPROCESSINGS:
        raise UserError(f'preprocessing is {preprocessing!r}: expected one of {PREPROCESSINGS}')
    return Path(file).expanduser() if kind == 'onnx' else None


def load_expert(name: str, preprocessing: str, batch: int) -> Expert:
    """The expert of a command line.

    Args:
      name: 'mesh', or 'onnx=FILE'.
      preprocessing: of an ONNX expert, one of `PREPROCESSINGS`.
      batch: pictures at a time.

    Raises:
      UserError: another name, or weights that cannot be had.
    """
    file = _onnx_file(name, preprocessing)
    if file is not None:
        net = InsightFaceExpert.load(file)
        if preprocessing == 'reference':
            return ReferenceExpert(net)
        return BoxedExpert(FaceFinder.load(batch=batch, small_faces=False), net)
    return MeshExpert(FaceFinder.load(batch=batch, small_faces=False))


def over_square(
    points: Float[np.ndarray, '106 2'], photo: UInt8[np.ndarray, 'H W 3']
) -> Float32[np.ndarray, '212']:
    """Points in pixels -> [-1, 1] over the picture as `input_pipeline.images` pads it."""
    height, width = photo.shape[:2]
    side = max(width, height)
    margin = ((side - width) // 2, (side - height) // 2)
    return np.asarray((points + margin) * (2 / side) - 1, np.float32).reshape(-1)


def _box(face: Face) -> tuple[float, ...]:
    """The face's box as InsightFace's detector has it, which includes the forehead."""
    x0, y0, x1, y1 = face.box
    return x0, y0 - _FOREHEAD * (y1 - y0), x1, y1
