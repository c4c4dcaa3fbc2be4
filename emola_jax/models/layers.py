"""What both transformers share: normalisation, running a stack of layers, parameter layouts."""

from __future__ import annotations

from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def logical_param(
    module: nn.Module,
    name: str,
    init: Any,
    axes: tuple[str | None, ...],
    shape: tuple[int, ...],
    dtype: Any,
) -> Array:
    """Declares a parameter whose axes have the given logical names."""
    return cast(Array, module.param(name, nn.with_logical_partitioning(init, axes), shape, dtype))


class RmsNorm(nn.Module):
    """x / rms(x) · scale, in float32, returned as x.dtype."""

    eps: float
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, '*rows D']) -> Float[Array, '*rows D']:
        """Normalises the last axis."""
        ones = nn.initializers.ones
        scale = logical_param(self, 'scale', ones, ('norm',), x.shape[-1:], self.param_dtype)
        wide = x.astype(jnp.float32)
        square = jnp.mean(wide**2, axis=-1, keepdims=True)
        return (wide * jax.lax.rsqrt(square + self.eps) * scale).astype(x.dtype)


def remat_layer(layer: type[nn.Module], remat: str, static_argnums: tuple[int, ...]) -> Any:
    """Wraps a layer so that its backward pass computes anew what `remat` names.

    'none' keeps everything, 'full' keeps the layer's input, 'dots' keeps matrix products.
    """
    if remat == 'none':
        return layer
    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable if remat == 'dots' else None
    return nn.remat(layer, policy=policy, static_argnums=static_argnums, prevent_cse=False)


def stack_layers(layers: dict[str, Any]) -> dict[str, Any]:
    """{'0': layer, '1': layer, …} -> one layer's tree with every leaf stacked on axis 0."""
    order = [layers[str(index)] for index in range(len(layers))]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *order)


def unstack_layers(layers: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `stack_layers`."""
    depth = jax.tree.leaves(layers)[0].shape[0]
    return {
        str(index): jax.tree.map(lambda leaf, i=index: leaf[i], layers) for index in range(depth)
    }
