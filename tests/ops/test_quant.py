"""Quantised weights against their error bounds, written down here once more and independently."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from emola_jax.ops import quant

# Half the widest gap of a codebook that is the quantiles of a normal distribution.
NF4_GAP = (1 - norm.ppf(1 / 2 + 0.4677083 * 6 / 7) / norm.ppf(0.9677083)) / 2


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float32)


def highest(weights, axis, block):
    """Largest magnitude of the block that each weight is in."""
    moved = np.moveaxis(np.abs(weights), axis, 0)
    blocks = moved.reshape(-1, block, *moved.shape[1:]).max(axis=1)
    return np.moveaxis(np.repeat(blocks, block, axis=0), 0, axis)


def top(largest, axis, tile):
    """Largest of those in the tile of blocks side by side."""
    return highest(largest, -3 - axis, tile)


def test_the_codebook_is_the_papers_construction():
    # QLoRA, appendix E, as released: eight quantiles above zero, seven below, an exact zero.
    offset = 0.9677083
    above = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    below = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    book = np.sort(np.concatenate([above, below, [0]]))
    np.testing.assert_allclose(quant.NF4, book / np.abs(book).max(), atol=2e-7)


@pytest.mark.parametrize('axis', [-1, -2])
@pytest.mark.parametrize(('shape', 'block'), [((3, 128, 192), 64), ((48, 80), 16)])
@pytest.mark.parametrize('kind', quant.KINDS)
def test_no_weight_is_off_by_more_than_its_bound(kind, shape, block, axis):
    weights = normal(shape)
    weights[..., 0] *= 30  # a column, or block, of outliers
    quantized = quant.quantize(jnp.asarray(weights), kind, axis=axis)
    assert quantized.axis == axis
    back = np.asarray(quant.dequantize(quantized, jnp.float32))
    largest = highest(weights, axis, block)
    if kind == 'int8':
        bound = largest / 254
    else:
        tile = np.gcd(shape[-3 - axis], 64)
        bound = NF4_GAP * largest + top(largest, axis, tile) / 510
    assert (np.abs(back - weights) <= bound * (1 + 1e-5)).all()


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=16, max_size=16),
    st.integers(-20, 20),
)
@settings(deadline=None, max_examples=60)
def test_int8_keeps_its_bound_whatever_the_weights(values, exponent):
    weights = np.asarray(values, np.float32)[:, None] * np.ones((1, 2), np.float32)
    weights[:, 1] *= np.float32(2.0**exponent)
    back = np.asarray(quant.dequantize(quant.quantize(weights, 'int8'), jnp.float32))
    largest = np.abs(weights).max(axis=0)
    bound = np.maximum(largest / 254, 2.0**-24 * largest.max())
    assert (np.abs(back - weights) <= bound * (1 + 1e-5) + 1e-37).all()


def test_nf4_takes_the_nearest_code():
    weights = normal((64, 3))
    codes = np.asarray(quant.quantize(weights, 'nf4').codes)
    chosen = np.stack([codes & 15, codes >> 4], axis=1).reshape(64, 3)
    quantized = quant.quantize(weights, 'nf4')
    step = np.asarray(quantized.scales, np.float32) * np.asarray(quantized.tops) / 255
    nearest = np.abs((weights / step)[..., None] - np.asarray(quant.NF4)).argmin(axis=-1)
    np.testing.assert_array_equal(chosen, nearest)


@pytest.mark.parametrize('kind', quant.KINDS)
def test_zeros_stay_zeros(kind):
    weights = normal((64, 64))
    weights[:, 5] = 0
    for array in (weights, np.zeros((64, 64), np.float32)):
        back = np.asarray(quant.dequantize(quant.quantize(array, kind), jnp.float32))
        np.testing.assert_array_equal(back[:, 5], 0)


@pytest.mark.parametrize(('kind', 'bits'), [('int8', 8 + 16 / 64), ('nf4', 4 + 8 / 64)])
def test_bits_a_weight(kind, bits):
    parts = quant.quantize(jnp.zeros((4096, 1024)), kind)
    tops = 32 / (64 * 64)
    assert sum(part.nbytes for part in parts) * 8 / 4096 / 1024 == bits + tops


@pytest.mark.parametrize('kind', quant.KINDS)
def test_rows_of_a_table_are_those_of_the_whole(kind):
    table = quant.quantize(normal((80, 64)), kind, axis=-1)
    rows = np.array([[0, 79, 3], [17, 17, 80]])
    taken = np.asarray(quant.take_rows(table, rows, jnp.float32))
    whole = np.asarray(quant.dequantize(table, jnp.float32))
    np.testing.assert_array_equal(taken[0], whole[rows[0]])
    assert np.isnan(taken[1, 2]).all()  # there is no row 80


@pytest.mark.parametrize('kind', quant.KINDS)
def test_product_and_gradient_are_those_of_the_dequantised_matrix(kind):
    weights = quant.quantize(normal((64, 32)), kind)
    whole = quant.dequantize(weights, jnp.float32)
    x, slope = normal((2, 5, 64), 1), normal((2, 5, 32), 2)

    ours, pullback = jax.vjp(lambda x: quant.matmul(x, weights), x)
    theirs, expected = jax.vjp(lambda x: x @ whole, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(pullback(slope)[0], expected(slope)[0], rtol=1e-5, atol=1e-8)
