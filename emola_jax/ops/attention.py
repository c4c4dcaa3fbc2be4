"""Attention over grouped key/value heads, and the masks of packed rows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from emola_jax.ops.product import wide_product

# Finite, so that a query which may attend to nothing (padding) yields numbers and not NaN.
MASKED = -1e30


def packed_mask(segment_ids: Int[Array, 'B L']) -> Bool[Array, 'B L L']:
    """Who may attend to whom in packed rows: each token to the past of its own segment.

    Padding (segment 0) is a segment as well, so no row of the mask is empty.

    Returns:
        mask[b, query, key].
    """
    length = segment_ids.shape[1]
    causal = jnp.tril(jnp.ones((length, length), bool))
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    return causal & same


def attention(
    q: Float[Array, 'B L N H'],
    k: Float[Array, 'B L K H'],
    v: Float[Array, 'B L K H'],
    mask: Bool[Array, 'B L L'] | None,
    past: tuple[Float[Array, 'B K H P'], Float[Array, 'B K P H'], Bool[Array, 'B P']] | None = None,
) -> Float[Array, 'B L N H']:
    """softmax(q kᵀ / √H) v with a float32 softmax; query head n reads key head n // (N/K).

    Keys and values are never repeated to N heads.

    Args:
        q: queries.
        k: keys of the present tokens.
        v: values of the present tokens.
        mask: mask[b, query, key]; None lets everyone attend to everyone.
        past: cached keys, values and which of them exist; all queries may attend to these.

    Returns:
        In q's dtype.
    """
    if past is None:
        return _attend_present(q, k, v, mask)
    return _attend_with_past(q, k, v, mask, past)


def _attend_present(
    q: Float[Array, 'B L N H'],
    k: Float[Array, 'B L K H'],
    v: Float[Array, 'B L K H'],
    mask: Bool[Array, 'B L L'] | None,
) -> Float[Array, 'B L N H']:
    """Batched matrix products over (row, key head) with the query heads of a group side by side.

    The weights stay unnormalised until after the product with v: one division of [L, H] in place of
    [L, L]. On a CPU this form's gradient takes a third of the time of the plain einsums.
    """
    batch, length, heads, dim = q.shape
    kv_heads, groups = k.shape[2], heads // k.shape[2]
    q = q.reshape(batch, length, kv_heads, groups, dim).transpose(0, 2, 3, 1, 4)
    q = q.reshape(batch, kv_heads, groups * length, dim) * dim**-0.5
    k, v = k.swapaxes(1, 2), v.swapaxes(1, 2)
    scores = wide_product(q, k.swapaxes(2, 3))
    scores = scores.reshape(batch, kv_heads, groups, length, -1)
    if mask is not None:
        scores = jnp.where(mask[:, None, None], scores, MASKED)
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
    total = weights.sum(axis=-1).reshape(batch, kv_heads, groups * length, 1)
    weights = weights.astype(v.dtype).reshape(batch, kv_heads, groups * length, -1)
    out = wide_product(weights, v) / total
    out = out.reshape(batch, kv_heads, groups, length, dim).transpose(0, 3, 1, 2, 4)
    return out.reshape(batch, length, heads, dim).astype(q.dtype)


def _attend_with_past(
    q: Float[Array, 'B L N H'],
    k: Float[Array, 'B L K H'],
    v: Float[Array, 'B L K H'],
    mask: Bool[Array, 'B L L'] | None,
    past: tuple[Float[Array, 'B K H P'], Float[Array, 'B K P H'], Bool[Array, 'B P']],
) -> Float[Array, 'B L N H']:
    """The past is read where it lies: its scores, not its vectors, are joined to the present's."""
    batch, length, heads, dim = q.shape
    past_k, past_v, past_mask = past
    q = q.reshape(batch, length, k.shape[2], heads // k.shape[2], dim)
    scores = _scores('blkgh,bskh->bkgls', q, k)
    if mask is not None:
        scores = jnp.where(mask[:, None, None], scores, MASKED)
    past_scores = _scores('blkgh,bkhs->bkgls', q, past_k)
    past_scores = jnp.where(past_mask[:, None, None, None], past_scores, MASKED)
    scores = jnp.concatenate([past_scores, scores], axis=-1)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    split = past_k.shape[-1]
    out = jnp.einsum('bkgls,bksh->blkgh', weights[..., :split], past_v)
    out += jnp.einsum('bkgls,bskh->blkgh', weights[..., split:], v)
    return out.reshape(batch, length, heads, dim).astype(q.dtype)


def _scores(equation: str, q: Float[Array, 'B L K G H'], k: Array) -> Float[Array, 'B K G L S']:
    scores = jnp.einsum(equation, q, k, preferred_element_type=jnp.float32)
    return scores * q.shape[-1] ** -0.5
