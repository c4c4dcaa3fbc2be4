"""A finder of faces that needs no weights."""

import dataclasses

import numpy as np

from emola_jax.experts.finder import make_face

FOUND = np.stack(np.meshgrid(np.linspace(4, 20, 53), [5.0, 20.0]), -1).reshape(106, 2)
"""In pixels."""


@dataclasses.dataclass(frozen=True)
class Finder:
    """Finds the same face in every picture that is not black."""

    def find(self, photos):
        return [[make_face(photo, FOUND, 0.9)] if photo.any() else [] for photo in photos]
