import jax.numpy as jnp
import numpy as np

from emola_jax.ops.rope import apply_rope, rope_tables


def test_it_is_a_complex_rotation_of_half_split_pairs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 3, 8)).astype(np.float32)
    positions = rng.integers(0, 50, (2, 5))
    frequency = 100.0 ** (-np.arange(4) / 4)
    turn = np.exp(1j * positions[:, :, None, None] * frequency)
    expected = (x[..., :4] + 1j * x[..., 4:]) * turn
    ours = apply_rope(x, *rope_tables(jnp.asarray(positions), 8, 100.0, 64))
    np.testing.assert_allclose(ours[..., :4], expected.real, atol=1e-5)
    np.testing.assert_allclose(ours[..., 4:], expected.imag, atol=1e-5)


def test_tables_are_float32_and_exact_at_far_positions():
    cos, sin = rope_tables(jnp.array([[2047]]), 64, 10000.0, 2048)
    assert cos.dtype == sin.dtype == jnp.float32
    np.testing.assert_allclose(cos[0, 0, 0], np.cos(2047.0), atol=1e-5)
    x = jnp.ones((1, 1, 1, 64), jnp.bfloat16)
    turned = apply_rope(x, cos, sin)
    assert turned.dtype == jnp.bfloat16
    exact = np.cos(2047.0) - np.sin(2047.0)
    np.testing.assert_allclose(float(turned[0, 0, 0, 0]), exact, atol=0.01)


def test_a_position_beyond_the_limit_shows_as_nan():
    cos, sin = rope_tables(jnp.array([[7, 8]]), 4, 100.0, 8)
    assert np.isfinite(cos[0, 0]).all() and np.isfinite(sin[0, 0]).all()
    assert np.isnan(cos[0, 1]).all() and np.isnan(sin[0, 1]).all()
