"""The map from a frozen encoder's features to the embedding space of the language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Axes = tuple[str | None, str]

# torch's Linear: weight and bias uniform within ±1/√in.
_TORCH_KERNEL = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


class Projector(nn.Module):
    """Linear, GELU (by erf), Linear: LLaVA-1.5's `mlp2x_gelu`. Weights are float32 (they train).

    Attributes:
        hidden: width between the two maps.
        features: width of the output.
        input_axis: logical name of the input axis.
        rms: rescales each output vector to this root mean square; None leaves it.
        start: how new weights are drawn: as `torch.nn.Linear` draws them (the released code), or
            'lecun': normal, of variance 1/in, with zero biases.
    """

    hidden: int
    features: int
    input_axis: str | None = None
    rms: float | None = None
    dtype: DTypeLike = jnp.float32
    start: Literal['torch', 'lecun'] = 'torch'

    @nn.compact
    def __call__(self, x: Float[Array, '*rows in']) -> Float[Array, '*rows out']:
        """Maps the last axis, in `dtype`."""
        x = self._dense(self.hidden, (self.input_axis, 'mlp'), 'fc_1', x.shape[-1])(x)
        x = jax.nn.gelu(x, approximate=False)
        x = self._dense(self.features, ('mlp', 'embed'), 'fc_2', self.hidden)(x)
        if self.rms is None:
            return x
        wide = x.astype(jnp.float32)
        square = jnp.mean(wide**2, axis=-1, keepdims=True)
        return (wide * jax.lax.rsqrt(square + 1e-6) * self.rms).astype(self.dtype)

    def _dense(self, features: int, axes: Axes, name: str, inputs: int) -> nn.Dense:
        kernel, bias = _TORCH_KERNEL, _uniform_within(inputs**-0.5)
        if self.start == 'lecun':
            kernel, bias = nn.initializers.lecun_normal(), nn.initializers.zeros
        return nn.Dense(
            features,
            dtype=self.dtype,
            kernel_init=nn.with_logical_partitioning(kernel, axes),
            bias_init=nn.with_logical_partitioning(bias, axes[1:]),
            name=name,
        )


def _uniform_within(bound: float) -> nn.initializers.Initializer:
    def draw(
        key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32, **_: object
    ) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw
