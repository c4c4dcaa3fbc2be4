"""What both transformers share: normalisation, running a stack of layers, parameter layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from emola_jax.errors import UserError
from emola_jax.ops import quant
from emola_jax.ops.product import product
from emola_jax.parallel.sharding import logical_param, split_first_axis
from emola_jax.weights.trees import Params

Matrix = Array | quant.Quantized


def frozen_matrix(
    module: nn.Module,
    name: str,
    init: Initializer,
    axes: tuple[str, str],
    shape: tuple[int, int],
    dtype: DTypeLike,
    kind: str | None,
    *,
    block: int = quant.BLOCK,
    block_axis: int = -2,
) -> Matrix:
    """Declares a matrix of the frozen base, quantised if `kind` says so.

    A quantised one is a `Quantized` whose initial values stand for zeros: a base is quantised when
    it is placed.

    Raises:
        UserError: the dimension that blocks lie along has no divisor for them.
    """
    if kind is None:
        return logical_param(module, name, init, axes, shape, dtype)
    size = quant.block_size(shape[block_axis], block)
    if size < quant.SMALLEST_BLOCK:
        raise UserError(
            f'{"/".join((*module.path, name))}: a dimension of {shape[block_axis]} cannot be cut '
            f'into blocks of {quant.SMALLEST_BLOCK} or more weights, as base.quantize needs'
        )

    def blank(_: object) -> quant.Quantized:
        parts = quant.quantize(jnp.zeros(shape), kind, axis=block_axis, block=block)
        # Tops are few, and a tile may be wider than a device's share: every device has them all.
        places = (axes, axes, (None, None))
        boxes: Any = map(nn.LogicallyPartitioned, parts, places)
        return quant.Quantized(*boxes)

    return cast(quant.Quantized, module.param(name, blank))


def dense(x: Float[Array, '*rows in'], kernel: Matrix) -> Float[Array, '*rows out']:
    """X W in x's dtype."""
    if isinstance(kernel, quant.Quantized):
        return quant.matmul(x, kernel)
    return product(x, kernel.astype(x.dtype))


class Dense(nn.Module):
    """y = x W + b of the frozen base. Parameters: `kernel` [in, out] and `bias` [out]."""

    features: int
    axes: tuple[str, str]
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    kind: str | None = None
    block: int = quant.BLOCK

    @nn.compact
    def __call__(self, x: Float[Array, '*rows in']) -> Float[Array, '*rows out']:
        """Maps the last axis, in `dtype`."""
        shape = (x.shape[-1], self.features)
        normal, zeros = nn.initializers.normal(0.02), nn.initializers.zeros
        kernel = frozen_matrix(
            self, 'kernel', normal, self.axes, shape, self.param_dtype, self.kind, block=self.block
        )
        bias = logical_param(self, 'bias', zeros, self.axes[1:], shape[1:], self.param_dtype)
        y = dense(x.astype(self.dtype), kernel)
        return y + bias.astype(self.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


class RmsNorm(nn.Module):
    """x / rms(x) · scale, in float32, returned as x.dtype."""

    eps: float
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, '*rows D']) -> Float[Array, '*rows D']:
        """Normalises the last axis."""
        ones = nn.initializers.ones
        scale = logical_param(self, 'scale', ones, ('norm',), x.shape[-1:], self.param_dtype)
        wide = x.astype(jnp.float32)
        square = jnp.mean(wide**2, axis=-1, keepdims=True)
        return (wide * jax.lax.rsqrt(square + self.eps) * scale).astype(x.dtype)


ATTENTION = 'attention'
"""The name under which a layer's attention output is known to `REMAT`."""

_KEEP = jax.checkpoint_policies
REMAT: dict[str, Callable[..., bool]] = {
    'none': _KEEP.everything_saveable,
    'full': _KEEP.nothing_saveable,
    'attention': _KEEP.save_only_these_names(ATTENTION),
    'dots': _KEEP.dots_with_no_batch_dims_saveable,
    'all_dots': _KEEP.dots_saveable,
}
"""What the backward pass finds kept of a layer; all else it computes again:

    none        everything but the inside of a gate: fastest, largest
    full        the layer's input
    attention   the input and what attention returns, which is the dearest to compute again
    dots        products with weights
    all_dots    products with weights, and the scores of attention
"""


def remat_layer(
    layer: type[nn.Module], remat: str, static_argnums: tuple[int, ...], *, in_loop: bool
) -> Any:
    """Wraps a layer so that its backward pass keeps what the policy `remat` names.

    Outside a loop XLA would merge what is computed again with what it was computed from; there,
    barriers are set.
    """
    if remat == 'none':
        return layer
    return nn.remat(
        layer, policy=REMAT[remat], static_argnums=static_argnums, prevent_cse=not in_loop
    )


def stack_layers(layers: Params) -> Params:
    """{'0': layer, '1': layer, …} -> one layer's tree with every leaf stacked on axis 0."""
    order = [layers[str(index)] for index in range(len(layers))]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *order)


def unstack_layers(layers: Params) -> Params:
    """The inverse of `stack_layers`."""
    parts = jax.tree.map(split_first_axis, layers)
    depth = jax.tree.leaves(layers)[0].shape[0]
    return {
        str(index): jax.tree.map(lambda _, split, i=index: split[i], layers, parts)
        for index in range(depth)
    }
