"""The gated product of LLaMA's MLP."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float


@jax.custom_vjp
def swiglu(gate: Float[Array, '*rows mlp'], up: Float[Array, '*rows mlp']) -> Array:
    """silu(gate) · up, whose backward pass keeps its two arguments and nothing else.

    The derived one also keeps silu(gate) and the sigmoid in it, each as large as an argument.
    """
    return jax.nn.silu(gate) * up


def _forward(gate: Array, up: Array) -> tuple[Array, tuple[Array, Array]]:
    gate, up = jax.lax.optimization_barrier((gate, up))
    return jax.nn.silu(gate) * up, (gate, up)


def _backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    # Behind a barrier, as XLA would otherwise find the forward pass's silu again and keep that.
    (gate, up), cotangent = jax.lax.optimization_barrier((saved, cotangent))
    _, derived = jax.vjp(lambda gate, up: jax.nn.silu(gate) * up, gate, up)
    return derived(cotangent)


swiglu.defvjp(_forward, _backward)
