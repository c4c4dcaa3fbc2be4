"""A dense map with a low-rank adapter, and how to merge the two."""

from __future__ import annotations

from typing import TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from emola_jax.models.config import LoraConfig
from emola_jax.models.layers import dense, frozen_matrix
from emola_jax.ops import quant
from emola_jax.ops.product import product
from emola_jax.parallel.sharding import logical_param
from emola_jax.weights.trees import Params

Module = TypeVar('Module', bound=nn.Module)

# torch's kaiming_uniform_(a=√5) on a [rank, in] matrix, which is what PEFT draws A from:
# uniform within ±1/√in.
kaiming_uniform_sqrt5 = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


@jax.custom_vjp
def low_rank(
    x: Float[Array, '*rows in'], a: Float[Array, 'in R'], b: Float[Array, 'R out']
) -> Float[Array, '*rows out']:
    """X A B, with a backward pass of its own.

    The derived one transposes x and the output's cotangent, which costs a CPU a fifth of a training
    step; this one transposes nothing that is wider than R.
    """
    return product(product(x, a), b)


def _low_rank_forward(x: Array, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
    low = product(x, a)
    return product(low, b), (x, low, a, b)


def _low_rank_backward(saved: tuple[Array, ...], dy: Array) -> tuple[Array, Array, Array]:
    x, low, a, b = saved
    d_low = product(dy, b.T)
    d_a = product(_rows(d_low).T, _rows(x)).T
    d_b = product(_rows(low).T, _rows(dy))
    return product(d_low, a.T), d_a, d_b


def _rows(x: Array) -> Float[Array, 'rows last']:
    return x.reshape(-1, x.shape[-1])


low_rank.defvjp(_low_rank_forward, _low_rank_backward)


class LoraDense(nn.Module):
    """y = x W + dropout(x) A B · alpha/rank, without bias.

    Parameters: `kernel` [in, out] in `param_dtype` or quantised (frozen), and with `lora`: `lora_a`
    [in, R] and `lora_b` [R, out] in float32. B starts at zero, so a new adapter changes nothing.

    Attributes:
        features: size of the output.
        axes: logical names of the two axes of `kernel`; those of the factors are called 'lora_' and
            the same.
        lora: None for a plain dense map.
        kind: how the kernel is quantised, if it is.
        block: weights that share a scale then.
    """

    features: int
    axes: tuple[str, str]
    lora: LoraConfig | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    kind: str | None = None
    block: int = quant.BLOCK

    @nn.compact
    def __call__(
        self, x: Float[Array, '*rows in'], deterministic: bool = True
    ) -> Float[Array, '*rows out']:
        """Computes in `dtype`; dropout draws from the 'dropout' stream unless deterministic."""
        inputs, outputs = x.shape[-1], self.features
        x = x.astype(self.dtype)
        normal, zeros = nn.initializers.normal(0.02), nn.initializers.zeros
        shape = (inputs, outputs)
        kernel = frozen_matrix(
            self, 'kernel', normal, self.axes, shape, self.param_dtype, self.kind, block=self.block
        )
        y = dense(x, kernel)
        if self.lora is None:
            return y
        rank, (axis_in, axis_out) = self.lora.rank, (f'lora_{axis}' for axis in self.axes)
        a = logical_param(
            self, 'lora_a', kaiming_uniform_sqrt5, (axis_in, 'rank'), (inputs, rank), jnp.float32
        )
        b = logical_param(self, 'lora_b', zeros, ('rank', axis_out), (rank, outputs), jnp.float32)
        a, b = a.astype(self.dtype), b.astype(self.dtype)
        x = nn.Dropout(self.lora.dropout)(x, deterministic=deterministic)
        # Scaling B is cheaper than scaling the output.
        return y + low_rank(x, a, b * self.lora.scale)


def merge_lora(model: Module, params: Params) -> tuple[Module, Params]:
    """The same model with every adapter added to its kernel (and hence a faster one).

    A quantised base is dequantised to `param_dtype` with it: a sum of codes and an adapter has no
    exact codes. To keep the small base, decode without merging.

    Args:
        model: a module with an EmolaConfig `cfg`.
        params: its parameters; they stay as they are, and what has no adapter is shared.

    Returns:
        (model with lora=None and quantize=None, its parameters).
    """
    cfg = model.cfg
    if cfg.quantize is not None:
        params = dequantize_params(params, cfg.param_dtype)
        model = model.clone(cfg=cfg.replace(quantize=None))
    if cfg.lora is None:
        return model, params
    return model.clone(cfg=model.cfg.replace(lora=None)), _merged(params, cfg.lora)


def dequantize_params(params: Params, dtype: DTypeLike) -> Params:
    """The parameters with every quantised matrix as the one that its codes stand for."""

    def whole(leaf: object) -> object:
        return quant.dequantize(leaf, dtype) if isinstance(leaf, quant.Quantized) else leaf

    return jax.tree.map(whole, params, is_leaf=lambda leaf: isinstance(leaf, quant.Quantized))


def merge_kernel(
    kernel: Float[Array, '*layers in out'],
    a: Float[Array, '*layers in R'],
    b: Float[Array, '*layers R out'],
    lora: LoraConfig,
) -> Float[Array, '*layers in out']:
    """W + A B · alpha/rank, added in float32 and returned as the kernel's dtype."""
    # Stacked layers have an axis in front, which matmul takes as a batch.
    update = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
    wide = kernel.astype(jnp.float32) + lora.scale * update
    return wide.astype(kernel.dtype)


def _merged(params: Params, lora: LoraConfig) -> Params:
    if 'lora_a' in params:
        return {'kernel': merge_kernel(params['kernel'], params['lora_a'], params['lora_b'], lora)}
    return {
        name: _merged(value, lora) if isinstance(value, dict) else value
        for name, value in params.items()
    }
