import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from emola_jax.errors import UserError
from emola_jax.losses import chunked_next_token_loss, next_token_loss


def test_equals_torch_cross_entropy_over_the_weighted_tokens():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 7, 11)).astype(np.float32)
    targets = rng.integers(0, 11, (2, 7))
    weights = rng.integers(0, 2, (2, 7)).astype(np.float32)
    labels = np.where(weights > 0, targets, -100)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits).reshape(-1, 11), torch.tensor(labels).reshape(-1)
    )
    loss = next_token_loss(jnp.asarray(logits), jnp.asarray(targets), jnp.asarray(weights))
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-6)


def test_a_batch_without_any_trained_token_has_loss_zero_and_not_nan():
    loss = next_token_loss(jnp.ones((1, 3, 5)), jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3)))
    assert float(loss) == 0.0


@pytest.mark.parametrize('chunk', [3, 4, 64])
def test_chunks_give_the_loss_and_the_gradient_of_all_logits(chunk):
    rng = np.random.default_rng(1)
    hidden = jnp.asarray(rng.normal(size=(3, 10, 8)), jnp.float32)
    head = jnp.asarray(rng.normal(size=(8, 21)), jnp.float32)
    targets = jnp.asarray(rng.integers(0, 21, (3, 10)))
    weights = jnp.asarray(rng.choice([0, 1, 5], (3, 10)), jnp.float32).at[1].set(0)

    def whole(x):
        return next_token_loss(x @ head, targets, weights)

    def chunked(x):
        return chunked_next_token_loss(x, head, targets, weights, chunk=chunk)

    expected, slope = jax.value_and_grad(whole)(hidden)
    loss, gradient = jax.jit(jax.value_and_grad(chunked))(hidden)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)


def test_chunks_of_a_batch_without_any_trained_token_have_loss_and_gradient_zero():
    def loss(x):
        nothing = jnp.zeros((1, 3))
        return chunked_next_token_loss(
            x, jnp.ones((4, 5)), nothing.astype(jnp.int32), nothing, chunk=2
        )

    value, gradient = jax.value_and_grad(loss)(jnp.ones((1, 3, 4)))
    assert float(value) == 0.0
    assert not np.asarray(gradient).any()


def test_a_chunk_of_nothing_is_refused():
    with pytest.raises(UserError, match='loss_chunk is 0'):
        chunked_next_token_loss(*[jnp.zeros((1, 1))] * 4, chunk=0)
