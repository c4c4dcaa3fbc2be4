"""The map from a frozen encoder's features to the embedding space of the language model."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Projector(nn.Module):
    """Linear, GELU (by erf), Linear: LLaVA-1.5's `mlp2x_gelu`. Weights are float32 (they train).

    Attributes:
        hidden: width between the two maps.
        features: width of the output.
        input_axis: logical name of the input axis.
        rms: rescales each output vector to this root mean square; None leaves it.
    """

    hidden: int
    features: int
    input_axis: str | None = None
    rms: float | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, '*rows in']) -> Float[Array, '*rows out']:
        """Maps the last axis, in `dtype`."""
        x = self._dense(self.hidden, (self.input_axis, 'mlp'), 'fc_1')(x)
        x = jax.nn.gelu(x, approximate=False)
        x = self._dense(self.features, ('mlp', 'embed'), 'fc_2')(x)
        if self.rms is None:
            return x
        wide = x.astype(jnp.float32)
        square = jnp.mean(wide**2, axis=-1, keepdims=True)
        return (wide * jax.lax.rsqrt(square + 1e-6) * self.rms).astype(self.dtype)

    def _dense(self, features: int, axes: tuple[str | None, str], name: str) -> nn.Dense:
        return nn.Dense(
            features,
            dtype=self.dtype,
            kernel_init=nn.with_logical_partitioning(nn.initializers.lecun_normal(), axes),
            bias_init=nn.with_logical_partitioning(nn.initializers.zeros, axes[1:]),
            name=name,
        )
