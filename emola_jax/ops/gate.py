"""The gated product of LLaMA's MLP."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float


@jax.custom_vjp
def swiglu(
    gate: Float[Array, '*rows mlp'], up: Float[Array, '*rows mlp']
) -> Float[Array, '*rows mlp']:
    """silu(gate) · up in their dtype, whose backward pass keeps the two and nothing else.

    The derived one also keeps silu(gate) and the sigmoid in it, each as large as an argument.
    """
    return _product(gate, up)


def _product(gate: Array, up: Array) -> Array:
    return jax.nn.silu(gate) * up


def _forward(gate: Array, up: Array) -> tuple[Array, tuple[Array, Array]]:
    # Behind a barrier, as XLA would otherwise keep what the two were added up from.
    kept = jax.lax.optimization_barrier((gate, up))
    return _product(*kept), kept


def _backward(kept: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    # Behind another, as it would find the forward pass's silu again and keep that.
    kept, cotangent = jax.lax.optimization_barrier((kept, cotangent))
    _, derived = jax.vjp(_product, *kept)
    return derived(cotangent)


swiglu.defvjp(_forward, _backward)
