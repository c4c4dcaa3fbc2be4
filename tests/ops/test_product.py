import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emola_jax.ops.product import product, wide_product


def operands(*shapes, dtype):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def rounding(values):
    """Half a step of bfloat16, and what summing in another order moves."""
    return 2.0**-8 * np.abs(values) + 1e-4


def test_a_narrow_product_is_the_exact_sum_rounded_once():
    x, w = operands((3, 5, 64), (64, 48), dtype=jnp.bfloat16)
    exact = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
    found = product(x, w)
    assert found.dtype == jnp.bfloat16
    assert (np.abs(np.asarray(found, np.float64) - exact) <= rounding(exact)).all()


def test_its_gradients_are_those_of_the_product():
    x, w = operands((3, 5, 64), (64, 48), dtype=jnp.bfloat16)
    (dy,) = operands((3, 5, 48), dtype=jnp.bfloat16)
    dx, dw = jax.vjp(product, x, w)[1](dy)
    wide = [np.asarray(leaf, np.float64) for leaf in (x, w, dy)]
    exact_dx = wide[2] @ wide[1].T
    exact_dw = np.einsum('abi,abo->io', wide[0], wide[2])
    for found, exact in ((dx, exact_dx), (dw, exact_dw)):
        assert found.dtype == jnp.bfloat16
        assert (np.abs(np.asarray(found, np.float64) - exact) <= rounding(exact)).all()


def test_xla_meets_narrow_operands_and_a_wide_result():
    """The form that a CPU has units for: no operand is widened before the product."""
    x, w = operands((8, 64), (64, 48), dtype=jnp.bfloat16)
    for function in (product, lambda x, w: jax.vjp(product, x, w)[1](product(x, w))):
        text = jax.jit(function).lower(x, w).as_text()
        products = [line for line in text.splitlines() if 'dot_general' in line]
        assert products
        for line in products:
            operands_type, _, result = line.partition('->')
            assert operands_type.count('bf16') == 2
            assert 'xf32>' in result


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_a_wide_product_keeps_its_sums_and_has_narrow_gradients(dtype):
    a, b = operands((2, 3, 16), (2, 16, 5), dtype=dtype)
    found, pull = jax.vjp(wide_product, a, b)
    assert found.dtype == jnp.float32
    wide = [np.asarray(leaf, np.float64) for leaf in (a, b)]
    np.testing.assert_allclose(found, wide[0] @ wide[1], rtol=1e-5, atol=1e-5)
    (dy,) = operands((2, 3, 5), dtype=jnp.float32)
    exact = np.asarray(dy, np.float64) @ wide[1].swapaxes(1, 2)
    da, db = pull(dy)
    assert (da.dtype, db.dtype) == (dtype, dtype)
    np.testing.assert_allclose(np.asarray(da, np.float64), exact, rtol=2e-2, atol=5e-2)
