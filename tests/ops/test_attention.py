import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from emola_jax.ops.attention import attention, packed_mask


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def by_hand(q, k, v, mask):
    """One query at a time, heads repeated."""
    out = np.zeros_like(q)
    group = q.shape[2] // k.shape[2]
    for b, i, n in np.ndindex(q.shape[:3]):
        keys, values = k[b, :, n // group], v[b, :, n // group]
        score = np.where(mask[b, i], keys @ q[b, i, n] / np.sqrt(q.shape[-1]), -np.inf)
        weight = np.exp(score - score.max())
        out[b, i, n] = weight / weight.sum() @ values
    return out


@pytest.mark.parametrize('kv_heads', [1, 2, 6])
def test_grouped_heads(kv_heads):
    q, k, v = (
        random(2, 5, 6, 4),
        random(2, 5, kv_heads, 4, seed=1),
        random(2, 5, kv_heads, 4, seed=2),
    )
    mask = np.array(packed_mask(jnp.array([[1, 1, 1, 1, 1], [1, 1, 2, 2, 2]])))
    np.testing.assert_allclose(attention(q, k, v, mask), by_hand(q, k, v, mask), atol=1e-5)


def test_without_mask_it_is_torchs():
    q, k, v = (random(2, 5, 3, 4, seed=s) for s in range(3))
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(x).transpose(1, 2) for x in (q, k, v))
    )
    np.testing.assert_allclose(attention(q, k, v, None), theirs.transpose(1, 2), atol=1e-5)


def test_a_cache_is_the_same_as_the_keys_themselves():
    q, k, v = random(2, 7, 4, 8), random(2, 7, 2, 8, seed=1), random(2, 7, 2, 8, seed=2)
    exists = np.array([[False, True, True, True, True, True], [True] * 4 + [False] * 2])
    mask = np.concatenate([exists, np.ones((2, 1), bool)], axis=1)[:, None]
    expected = by_hand(q[:, 6:], k, v, mask)
    past = (k[:, :6].transpose(0, 2, 3, 1), v[:, :6].transpose(0, 2, 1, 3), exists)
    ours = attention(q[:, 6:], k[:, 6:], v[:, 6:], None, past)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_query_without_keys_gives_numbers_and_finite_gradients():
    q, k, v = (random(1, 3, 2, 4, seed=s) for s in range(3))
    mask = jnp.zeros((1, 3, 3), bool)
    loss = jax.jit(jax.value_and_grad(lambda *qkv: attention(*qkv, mask).sum(), argnums=(0, 1, 2)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(loss(q, k, v)))


def test_softmax_is_float32_under_bfloat16():
    # 300 equal keys: bfloat16 cannot add that many weights of 1/300 to 1.
    q, k = jnp.zeros((1, 1, 1, 4), jnp.bfloat16), jnp.zeros((1, 300, 1, 4), jnp.bfloat16)
    out = attention(q, k, jnp.ones_like(k), None)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(np.float32), 1.0, atol=0.01)


def test_packed_mask_by_hand():
    mask = np.asarray(packed_mask(jnp.array([[1, 1, 2, 2, 0]])))[0].astype(int)
    np.testing.assert_array_equal(
        mask,
        [
            [1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [0, 0, 1, 0, 0],
            [0, 0, 1, 1, 0],
            [0, 0, 0, 0, 1],
        ],
    )
