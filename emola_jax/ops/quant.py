"""Blockwise 8- and 4-bit weights for a base that stays frozen (QLoRA: Dettmers et al., 2023).

A matrix is cut into blocks of up to 64 weights along the axis that a product sums over. Each block
has a scale, and scales are stored small as well ("double quantisation"): relative to the largest
one of a tile of blocks side by side, whose scale is a float32.

    kind    a weight                      its block's scale      bits a weight (blocks of 64)
    int8    integer in [-127, 127]        float16, rounded down  8.25
    nf4     one of 16 normal quantiles    8-bit integer          4.13

All parts but the tops (one in 4096 weights) keep the axes of the matrix, so they are sharded alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from emola_jax.ops.product import product

KINDS = ('int8', 'nf4')

NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
"""The 4-bit NormalFloat of the QLoRA paper (appendix E): quantiles of a normal distribution, scaled
to [-1, 1], with an exact zero."""

BLOCK = 64
"""Weights that share a scale, where the dimension is a multiple of it."""

SMALLEST_BLOCK = 16
_TILE = 64
_NF4_STEPS = 255
_INT8_STEPS = 127


class Quantized(NamedTuple):
    """A quantised matrix, possibly with an axis of layers in front.

    The blocks lie along the one axis in which codes and scales differ. Written for blocks along
    'in' (an embedding table has them along its rows, [V, D]):

    Attributes:
        codes: int8[in, out], or for nf4 uint8[in/2, out]: rows 2i (low bits) and 2i + 1.
        scales: [in/block, out], float16 or uint8, as a share of the tile's top.
        tops: f32[in/block, out/tile].
    """

    codes: Array
    scales: Array
    tops: Array

    @property
    def axis(self) -> int:
        """Which axis the blocks lie along: -1 or -2."""
        return -1 if self.codes.shape[-1] != self.scales.shape[-1] else -2


def block_size(dimension: int, block: int = BLOCK) -> int:
    """Length of the blocks that a dimension is cut into: the largest divisor it shares."""
    return math.gcd(dimension, block)


def quantize(
    weights: Float[Array, '*layers in out'], kind: str, *, axis: int = -2, block: int = BLOCK
) -> Quantized:
    """Rounds a matrix to the nearest codes.

    With w a weight, m the largest magnitude in its block and top the largest m in its tile, the
    error is at most m/254 for int8 (2⁻²⁴ top where m is below 2⁻¹⁶ top), and at most
    0.152 m + top/510 for nf4: half the widest gap of the codebook, and what rounding the scale
    costs.

    Args:
        weights: of any float type; computed in float32.
        kind: one of `KINDS`.
        axis: -2 or -1, that blocks lie along.
        block: weights in a block; a dimension that it does not divide gets smaller ones.
    """
    wide = weights.astype(jnp.float32)
    blocks = _split(wide, axis, block_size(wide.shape[axis], block))
    highest = jnp.abs(blocks).max(axis=axis)
    across = _across(axis)
    tops = _split(highest, across, math.gcd(highest.shape[across], _TILE)).max(axis=across)
    share = highest / jnp.maximum(_spread(tops, highest.shape[across], across), _TINY)
    scales = _float16_down(share) if kind == 'int8' else _rounded(share * _NF4_STEPS, jnp.uint8)
    step = jnp.expand_dims(_steps(scales, tops, axis), axis)
    ratio = jnp.where(step > 0, blocks / jnp.where(step > 0, step, 1), 0).reshape(wide.shape)
    if kind == 'int8':
        codes = _rounded(jnp.clip(ratio, -_INT8_STEPS, _INT8_STEPS), jnp.int8)
    else:
        codes = _packed(_nearest_nf4(ratio), axis)
    return Quantized(codes, scales, tops)


def dequantize(quantized: Quantized, dtype: DTypeLike) -> Float[Array, '*layers in out']:
    """The matrix that the codes stand for; computed in float32, returned as `dtype`."""
    axis = quantized.axis
    values = _values(quantized.codes, axis)
    step = _steps(quantized.scales, quantized.tops, axis)
    blocks = _split(values, axis, values.shape[axis] // step.shape[axis])
    return (blocks * jnp.expand_dims(step, axis)).reshape(values.shape).astype(dtype)


def take_rows(
    table: Quantized, rows: Int[Array, '*ids'], dtype: DTypeLike
) -> Float[Array, '*ids D']:
    """Rows of a table whose blocks lie along its rows; a row beyond the last one is NaN."""
    tile = table.scales.shape[-2] // table.tops.shape[-2]
    values = _values(jnp.take(table.codes, rows, axis=0), -1)
    tops = jnp.take(table.tops, rows // tile, axis=0)  # NaN fills what does not exist
    step = jnp.take(table.scales, rows, axis=0).astype(jnp.float32) * tops
    step /= _INT8_STEPS if table.codes.dtype == jnp.int8 else _NF4_STEPS
    blocks = values.reshape(*step.shape, -1) * step[..., None]
    return blocks.reshape(values.shape).astype(dtype)


@jax.custom_vjp
def matmul(x: Float[Array, '*rows in'], weights: Quantized) -> Float[Array, '*rows out']:
    """X W in x's dtype; W gets no gradient.

    The backward pass keeps the codes and dequantises them again, so that at no time more than one
    matrix is there whole.
    """
    return product(x, dequantize(weights, x.dtype))


def _matmul_forward(x: Array, weights: Quantized) -> tuple[Array, Quantized]:
    return matmul(x, weights), weights


def _matmul_backward(weights: Quantized, dy: Array) -> tuple[Array, Quantized]:
    # Without the barrier a compiler would see the same matrix twice and keep it from the forward
    # pass until here, for all layers.
    held, dy = jax.lax.optimization_barrier((weights, dy))
    dx = product(dy, dequantize(Quantized(*held), dy.dtype).T)
    return dx, Quantized(*map(_no_gradient, weights))


matmul.defvjp(_matmul_forward, _matmul_backward)


def _no_gradient(leaf: Array) -> Array:
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros_like(leaf)
    # Of integers `custom_vjp` wants NumPy's, since JAX has no array of float0.
    return cast(Array, np.zeros(leaf.shape, jax.dtypes.float0))


_TINY = float(np.finfo(np.float32).tiny)


def _across(axis: int) -> int:
    """The other one of the last two axes."""
    return -3 - axis


def _split(x: Array, axis: int, size: int) -> Array:
    """[…, n, …] -> […, n/size, size, …], where the new axis has the old one's negative index."""
    place = x.ndim + axis
    return x.reshape(*x.shape[:place], -1, size, *x.shape[place + 1 :])


def _spread(tops: Array, size: int, axis: int) -> Array:
    return jnp.repeat(tops, size // tops.shape[axis], axis=axis)


def _steps(scales: Array, tops: Array, axis: int) -> Float[Array, '*layers blocks out']:
    """What a code's value is multiplied with, for every block."""
    across = _across(axis)
    steps = _INT8_STEPS if scales.dtype == jnp.float16 else _NF4_STEPS
    return scales.astype(jnp.float32) * _spread(tops, scales.shape[across], across) / steps


def _float16_down(share: Array) -> Array:
    """Rounded towards zero, so that no step is longer than m/127."""
    near = share.astype(jnp.float16)
    bits = jax.lax.bitcast_convert_type(near, jnp.uint16)
    above = (near.astype(jnp.float32) > share).astype(jnp.uint16)
    return jax.lax.bitcast_convert_type(bits - above, jnp.float16)


def _rounded(x: Array, dtype: DTypeLike) -> Array:
    return jnp.round(x).astype(dtype)


def _nearest_nf4(ratio: Array) -> Array:
    book = np.asarray(NF4)
    codes = jnp.zeros(ratio.shape, jnp.uint8)
    for middle in ((book[1:] + book[:-1]) / 2).astype(np.float32):
        codes += (ratio > middle).astype(jnp.uint8)
    return codes


def _packed(codes: Array, axis: int) -> Array:
    low, high = jnp.moveaxis(_split(codes, axis, 2), axis, 0)
    return low | (high << 4)


def _values(codes: Array, axis: int) -> Float[Array, '*layers in out']:
    """Integers as they are, 4-bit codes as their quantiles."""
    if codes.dtype == jnp.int8:
        return codes.astype(jnp.float32)
    pair = jnp.stack([codes & 15, codes >> 4], axis=axis)
    place = codes.ndim + axis
    codes = pair.reshape(*codes.shape[:place], -1, *codes.shape[place + 1 :])
    # A tree of selections: 16 values need no look-up, which accelerators are slow at.
    level = [jnp.float32(value) for value in NF4]
    for bit in range(4):
        chosen = (codes >> bit) & 1 > 0
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [jnp.where(chosen, upper, lower) for lower, upper in pairs]
    return level[0]
