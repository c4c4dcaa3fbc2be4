"""A dense map with a low-rank adapter, and how to merge the two."""

from __future__ import annotations

from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emola_jax.models.config import LoraConfig

Module = TypeVar('Module', bound=nn.Module)

# torch's kaiming_uniform_(a=√5) on a [rank, in] matrix, which is what PEFT draws A from:
# uniform within ±1/√in.
kaiming_uniform_sqrt5 = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


class LoraDense(nn.Module):
    """y = x W + dropout(x) A B · alpha/rank, without bias.

    Parameters: `kernel` [in, out] in `param_dtype` (frozen), and with `lora`: `lora_a` [in, R] and
    `lora_b` [R, out] in float32. B starts at zero, so a new adapter changes nothing.

    Attributes:
        features: size of the output.
        axes: logical names of the two axes of `kernel`.
        lora: None for a plain dense map.
    """

    features: int
    axes: tuple[str, str]
    lora: LoraConfig | None = None
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, '*rows in'], deterministic: bool = True
    ) -> Float[Array, '*rows out']:
        """Computes in `dtype`; dropout draws from the 'dropout' stream unless deterministic."""

        def weight(name: str, init: Any, axes: tuple[str, str], shape: tuple[int, int], dtype: Any):  # type: ignore[no-untyped-def]
            boxed = nn.with_logical_partitioning(init, axes)
            return self.param(name, boxed, shape, dtype).astype(self.dtype)

        inputs, outputs = x.shape[-1], self.features
        x = x.astype(self.dtype)
        kernel = weight(
            'kernel', nn.initializers.normal(0.02), self.axes, (inputs, outputs), self.param_dtype
        )
        y = x @ kernel
        if self.lora is None:
            return y
        rank = self.lora.rank
        a = weight(
            'lora_a', kaiming_uniform_sqrt5, (self.axes[0], 'rank'), (inputs, rank), jnp.float32
        )
        b = weight(
            'lora_b', nn.initializers.zeros, ('rank', self.axes[1]), (rank, outputs), jnp.float32
        )
        x = nn.Dropout(self.lora.dropout)(x, deterministic=deterministic)
        # Scaling the R columns is cheaper than scaling the output, and so is its gradient.
        return y + (x @ a * self.lora.scale) @ b


def merge_lora(model: Module, params: dict[str, Any]) -> tuple[Module, dict[str, Any]]:
    """The same model with every adapter added to its kernel (and hence a faster one).

    Args:
        model: a module with an EmolaConfig `cfg`.
        params: its parameters; they stay as they are, and what has no adapter is shared.

    Returns:
        (model with lora=None, its parameters).
    """
    lora = model.cfg.lora
    if lora is None:
        return model, params
    return model.clone(cfg=model.cfg.replace(lora=None)), _merged(params, lora)


def _merged(params: dict[str, Any], lora: LoraConfig) -> dict[str, Any]:
    if 'lora_a' in params:
        kernel = params['kernel']
        # Stacked layers have an axis in front, which matmul takes as a batch.
        update = jnp.matmul(params['lora_a'], params['lora_b'], precision=jax.lax.Precision.HIGHEST)
        wide = kernel.astype(jnp.float32) + lora.scale * update
        return {'kernel': wide.astype(kernel.dtype)}
    return {
        name: _merged(value, lora) if isinstance(value, dict) else value
        for name, value in params.items()
    }
