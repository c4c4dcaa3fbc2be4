"""Rotary position embedding (Su et al., 2021) in the half-split form of Hugging Face's LLaMA."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def rope_tables(
    positions: Int[Array, 'B L'], head_dim: int, theta: float
) -> tuple[Float[Array, 'B L half'], Float[Array, 'B L half']]:
    """Cosine and sine, in float32, of position · theta^(-2i/head_dim) for i < head_dim/2."""
    frequency = theta ** (-jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    angle = positions.astype(jnp.float32)[..., None] * frequency
    return jnp.cos(angle), jnp.sin(angle)


def apply_rope(
    x: Float[Array, 'B L N H'], cos: Float[Array, 'B L half'], sin: Float[Array, 'B L half']
) -> Float[Array, 'B L N H']:
    """Turns each pair (x[i], x[i + H/2]) by its angle; computed in float32, returned as x.dtype."""
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos[..., None, :], sin[..., None, :]
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)
