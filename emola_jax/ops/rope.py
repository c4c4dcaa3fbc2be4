"""Rotary position embedding (Su et al., 2021) in the half-split form of Hugging Face's LLaMA."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def rope_tables(
    positions: Int[Array, 'B L'], head_dim: int, theta: float, limit: int
) -> tuple[Float[Array, 'B L half'], Float[Array, 'B L half']]:
    """Cosine and sine, in float32, of position · theta^(-2i/head_dim) for i < head_dim/2.

    They are looked up: a compiler for CPUs would put the computation into every layer, where it
    takes a twentieth of a training step.

    Args:
        positions: below `limit`; NaN stands for what is beyond.
        head_dim: of queries and keys.
        theta: base of the frequencies.
        limit: more than any position.
    """
    frequency = theta ** (-np.arange(0, head_dim, 2, dtype=np.float32) / head_dim)
    angle = np.arange(limit, dtype=np.float32)[:, None] * frequency
    cos, sin = (jnp.asarray(turn(angle), jnp.float32) for turn in (np.cos, np.sin))
    return jnp.take(cos, positions, axis=0), jnp.take(sin, positions, axis=0)


def apply_rope(
    x: Float[Array, 'B L N H'], cos: Float[Array, 'B L half'], sin: Float[Array, 'B L half']
) -> Float[Array, 'B L N H']:
    """Turns each pair (x[i], x[i + H/2]) by its angle; computed in float32, returned as x.dtype."""
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos[..., None, :], sin[..., None, :]
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)
