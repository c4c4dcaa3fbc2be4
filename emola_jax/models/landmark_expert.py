"""The landmark expert as a frozen part of the model: images in, landmarks out, in one program."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from emola_jax.experts.blaze_face import SHORT_RANGE, BlazeFace
from emola_jax.experts.face_mesh import MESH_468, FaceMesh
from emola_jax.experts.mesh import landmarks_of_crops
from emola_jax.parallel.sharding import constrain


class LandmarkExpert(nn.Module):
    """BlazeFace, FaceMesh and the 106 points. Parameters: `detector` and `mesh`, both frozen."""

    def setup(self) -> None:
        """Names the two nets as `experts.mesh` does."""
        self.detector = BlazeFace()
        self.mesh = FaceMesh()

    def __call__(self, images: UInt8[Array, 'B S H H 3']) -> Float[Array, 'B S 212']:
        """See `landmarks_of_crops`; a blank image, too, has some landmarks, of no meaning."""
        if self.is_initializing():
            self.detector(jnp.zeros((1, SHORT_RANGE.size, SHORT_RANGE.size, 3)))
            self.mesh(jnp.zeros((1, MESH_468.size, MESH_468.size, 3)))
        rows = images.shape[:2]
        found = landmarks_of_crops(
            nn.unbox(self.variables['params']), images.reshape(-1, *images.shape[2:])
        )
        return constrain(found.reshape(*rows, -1), 'batch', 'length', 'width')
