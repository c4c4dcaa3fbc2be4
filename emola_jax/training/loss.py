"""The training loss: cross entropy of the next token, where an answer is."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emola_jax.errors import UserError


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


def chunked_next_token_loss(
    hidden: Float[Array, 'B L D'],
    head: Float[Array, 'D V'] | Float[Array, 'V D'],
    targets: Int[Array, 'B L'],
    weights: Float[Array, 'B L'],
    *,
    chunk: int,
    vocab_axis: int = 1,
) -> Float[Array, '']:
    """`next_token_loss(hidden @ head, …)` from logits of `chunk` positions per row at a time.

    Positions without weight cost nothing, and logits [B, L, V] never exist. The head is frozen: no
    gradient reaches it.

    Args:
      hidden: what the head maps to logits.
      head: output head, or an embedding table in its place; logits are computed in float32.
      targets: as above.
      weights: as above.
      chunk: positions of every row that are mapped at the same time.
      vocab_axis: of the head; 0 if it is a table [V, D], which is read without a transpose.

    Raises:
      UserError: `chunk` is below 1.
    """
    if chunk < 1:
        raise UserError(f'train.loss_chunk is {chunk}; expected 1 position or more')
    share = weights / jnp.maximum(weights.sum(), 1.0)
    head = jax.lax.stop_gradient(head)
    return _weighted_loss(hidden, head, targets, share, chunk, vocab_axis)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _weighted_loss(
    hidden: Array, head: Array, targets: Array, weights: Array, chunk: int, vocab_axis: int
) -> Array:
    return _loss_and_gradient(hidden, head, targets, weights, chunk, vocab_axis)[0]


def _forward(
    hidden: Array, head: Array, targets: Array, weights: Array, chunk: int, vocab_axis: int
) -> tuple[Array, tuple[Array, ...]]:
    loss, gradient = _loss_and_gradient(hidden, head, targets, weights, chunk, vocab_axis)
    return loss, (gradient, head, targets, weights)


def _backward(
    chunk: int, vocab_axis: int, saved: tuple[Array, ...], upstream: Array
) -> tuple[Any, ...]:
    del chunk, vocab_axis
    gradient, head, targets, weights = saved
    none = np.zeros(targets.shape, jax.dtypes.float0)
    scaled = (gradient * upstream).astype(gradient.dtype)
    return scaled, jnp.zeros_like(head), none, jnp.zeros_like(weights)


_weighted_loss.defvjp(_forward, _backward)


def _loss_and_gradient(
    hidden: Float[Array, 'B L D'],
    head: Array,
    targets: Int[Array, 'B L'],
    weights: Float[Array, 'B L'],
    chunk: int,
    vocab_axis: int,
) -> tuple[Float[Array, ''], Float[Array, 'B L D']]:
    """The weighted sum of losses and its gradient with respect to `hidden`.

    Each row's weighted positions move to its front; the loop ends where the fullest row does.
    """
    length = hidden.shape[1]
    order = jnp.argsort(weights <= 0, axis=1, stable=True)
    padding = [(0, 0), (0, -length % chunk)]
    targets = jnp.pad(jnp.take_along_axis(targets, order, axis=1), padding)
    weights = jnp.pad(jnp.take_along_axis(weights, order, axis=1), padding)
    front = jnp.take_along_axis(hidden, order[..., None], axis=1)
    front = jnp.pad(front, [*padding, (0, 0)])
    chunks = -(-(weights > 0).sum(axis=1).max() // chunk)

    def one_chunk(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        total, gradient = carry
        x, target, weight = (
            jax.lax.dynamic_slice_in_dim(array, index * chunk, chunk, axis=1)
            for array in (front, targets, weights)
        )
        logits = _product(x, head, 1 - vocab_axis)
        highest = logits.max(axis=-1, keepdims=True)
        likelihood = jnp.exp(logits - highest)
        normaliser = likelihood.sum(axis=-1, keepdims=True)
        chosen = jnp.take_along_axis(logits, target[..., None], axis=-1)
        losses = (jnp.log(normaliser) + highest - chosen)[..., 0]
        # d loss / d logits = probabilities - one-hot target, here still times the normaliser
        slope = jnp.where(jnp.arange(head.shape[vocab_axis]) == target[..., None], -normaliser, 0.0)
        slope = (likelihood + slope).astype(head.dtype)
        own = _product(slope, head, vocab_axis)
        own *= weight[..., None] / normaliser
        gradient = jax.lax.dynamic_update_slice_in_dim(
            gradient, own.astype(gradient.dtype), index * chunk, axis=1
        )
        return total + (losses * weight).sum(), gradient

    start = (jnp.zeros((), jnp.float32), jnp.zeros_like(front))
    total, gradient = jax.lax.fori_loop(0, chunks, one_chunk, start)
    back = jnp.argsort(order, axis=1)
    return total, jnp.take_along_axis(gradient[:, :length], back[..., None], axis=1)


def _product(
    x: Float[Array, '*rows n'], matrix: Float[Array, '_ _'], axis: int
) -> Float[Array, '*rows other']:
    """Sums over the last axis of x and that axis of the matrix, in float32."""
    axes = (((x.ndim - 1,), (axis,)), ((), ()))
    return jax.lax.dot_general(x, matrix, axes, preferred_element_type=jnp.float32)
