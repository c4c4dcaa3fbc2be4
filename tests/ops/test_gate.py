import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emola_jax.ops.gate import swiglu
from emola_jax.parallel import cpu_compiler

ROWS, WIDTH, MLP, LAYERS = 256, 32, 512, 6


def derived(gate, up):
    return jax.nn.silu(gate) * up


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_value_and_gradients_are_those_that_jax_derives(dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    gate, up, cotangent = (3 * jax.random.normal(key, (5, 7, 33), dtype) for key in keys)
    out, pull = jax.vjp(jax.jit(swiglu), gate, up)
    expected, pull_expected = jax.vjp(jax.jit(derived), gate, up)
    assert out.dtype == expected.dtype
    pairs = zip((out, *pull(cotangent)), (expected, *pull_expected(cotangent)), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(
            *(np.asarray(x, np.float32) for x in (ours, theirs)),
            rtol=1e-5 if dtype == 'float32' else 2e-2,
            atol=1e-6,
        )


def test_a_stack_of_layers_keeps_its_two_arguments_only():
    """Of each layer: gate and up, which are sums and must not be kept as their parts."""

    def loss(gated, factors, x):
        for index in range(LAYERS):
            gate_a, gate_b, up, down = (factor[index] for factor in factors)
            x = x + gated(x @ gate_a + x @ gate_b, x @ up) @ down
        return (x**2).sum()

    keys = jax.random.split(jax.random.key(0), 4)
    shapes = [(LAYERS, WIDTH, MLP)] * 3 + [(LAYERS, MLP, WIDTH)]
    factors = [jax.random.normal(k, s) / 16 for k, s in zip(keys, shapes, strict=True)]
    x = jnp.ones((ROWS, WIDTH))

    def temporaries(gated):
        gradient = jax.jit(
            jax.grad(lambda x: loss(gated, factors, x)),
            compiler_options=cpu_compiler.known(cpu_compiler.KEEPS_BARRIERS),
        )
        return gradient.lower(x).compile().memory_analysis().temp_size_in_bytes

    one = 4 * ROWS * MLP * LAYERS
    assert temporaries(swiglu) < 2.7 * one
    assert temporaries(derived) > 3.7 * one
