"""Matrix products of narrow types, in the forms that processors have units for.

All sum in float32. A CPU has such units (AMX, AVX512-BF16) for bfloat16 only where the result is
float32: XLA turns a product that returns bfloat16 into one of float32 operands, a sixth as fast.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emola_jax.parallel.sharding import platform


def product(x: Float[Array, '*rows in'], w: Float[Array, 'in out']) -> Float[Array, '*rows out']:
    """X W in x's dtype, which W has too."""
    if x.dtype == jnp.float32 or platform() != 'cpu':
        return x @ w
    return _rounded(x, w)


@jax.custom_vjp
def _rounded(x: Array, w: Array) -> Array:
    return jnp.matmul(x, w, preferred_element_type=jnp.float32).astype(x.dtype)


def _rounded_forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return _rounded(x, w), (x, w)


def _rounded_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, w = saved
    return _rounded(dy, w.T), _rounded(_rows(x).T, _rows(dy))


def _rows(x: Array) -> Float[Array, 'rows last']:
    return x.reshape(-1, x.shape[-1])


_rounded.defvjp(_rounded_forward, _rounded_backward)


def wide_product(
    a: Float[Array, '*batch rows in'], b: Float[Array, '*batch in out']
) -> Float[Array, '*batch rows out']:
    """A B in float32; gradients are products of the operands' own type."""
    if a.dtype == jnp.float32:
        return jnp.matmul(a, b)
    return _wide(a, b)


@jax.custom_vjp
def _wide(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


def _wide_forward(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return _wide(a, b), (a, b)


def _wide_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    a, b = saved
    dy = dy.astype(a.dtype)
    return (
        _wide(dy, b.swapaxes(-1, -2)).astype(a.dtype),
        _wide(a.swapaxes(-1, -2), dy).astype(b.dtype),
    )


_wide.defvjp(_wide_forward, _wide_backward)
