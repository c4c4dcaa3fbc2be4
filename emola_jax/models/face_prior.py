"""The landmark vector of a facial-prior expert as one token (EmoLA, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from emola_jax.models.config import PriorConfig
from emola_jax.models.projector import Projector
from emola_jax.parallel.sharding import logical_param


class FacePrior(nn.Module):
    """Landmarks -> optional fixed standardisation -> projector -> one embedding vector.

    Parameters: `projector`, and with `standardize` the frozen `mean` and `std` [inputs], which
    start at 0 and 1 and are set from the training data.
    """

    cfg: PriorConfig
    features: int
    rms: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, landmarks: Float[Array, '*rows inputs']) -> Float[Array, '*rows D']:
        """Landmarks are x0, y0, x1, y1, … in [-1, 1]; a NaN comes out as NaN."""
        if self.cfg.standardize:
            shape = (self.cfg.inputs,)
            zeros, ones = nn.initializers.zeros, nn.initializers.ones
            mean = logical_param(self, 'mean', zeros, ('prior',), shape, jnp.float32)
            std = logical_param(self, 'std', ones, ('prior',), shape, jnp.float32)
            landmarks = (landmarks - mean) / std
        projector = Projector(
            self.cfg.hidden or self.features,
            self.features,
            'prior',
            self.rms,
            self.dtype,
            name='projector',
        )
        return projector(landmarks)


class MorePriors(nn.Module):
    """Further priors side by side; the parameters of each lie under its name.

    Attributes:
        priors: (name, configuration) of each.
        features: width of a token.
        rms: see `Projector`.
    """

    priors: tuple[tuple[str, PriorConfig], ...]
    features: int
    rms: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, landmarks: Mapping[str, Float[Array, '*rows inputs']]
    ) -> list[Float[Array, '*rows D']]:
        """One token of each, in their order; `landmarks` holds what every source gives."""
        return [
            FacePrior(prior, self.features, self.rms, self.dtype, name=name)(
                landmarks[prior.source]
            )
            for name, prior in self.priors
        ]
