"""The training loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def next_token_loss(
    logits: Float[Array, 'B L V'],
    targets: Int[Array, 'B L'],
    weights: Float[Array, 'B L'],
) -> Float[Array, '']:
    """Cross entropy in nats, averaged over the weighted tokens of the whole batch.

    The reference averages over the unmasked tokens of each device's micro-batch; a mean over all
    devices is the same for one device and doesn't depend on their number.

    Args:
      logits: f32.
      targets: the next token at every position; ignored where `weights` is 0.
      weights: 0 where nothing is trained.
    """
    log_normaliser = jax.nn.logsumexp(logits, axis=-1)
    target_logit = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    losses = (log_normaliser - target_logit) * weights
    return losses.sum() / jnp.maximum(weights.sum(), 1.0)
