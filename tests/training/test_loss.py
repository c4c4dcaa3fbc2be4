import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from emola_jax.errors import UserError
from emola_jax.training.loss import chunked_next_token_loss, next_token_loss

pytestmark = pytest.mark.usefixtures('compiled_quickly')


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


@pytest.mark.parametrize('vocab_axis', [0, 1])
@pytest.mark.parametrize('chunk', [3, 4, 64])
def test_chunks_give_the_loss_and_the_gradient_of_all_logits(chunk, vocab_axis):
    rng = np.random.default_rng(1)
    hidden = jnp.asarray(rng.normal(size=(3, 10, 8)), jnp.float32)
    head = jnp.asarray(rng.normal(size=(8, 21)), jnp.float32)
    targets = jnp.asarray(rng.integers(0, 21, (3, 10)))
    weights = jnp.asarray(rng.choice([0, 1, 5], (3, 10)), jnp.float32).at[1].set(0)

    def whole(x):
        return next_token_loss(x @ head, targets, weights)

    def chunked(x):
        stored = head if vocab_axis else head.T
        return chunked_next_token_loss(
            x, stored, targets, weights, chunk=chunk, vocab_axis=vocab_axis
        )

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


def largest_array(loss, hidden, head):
    """Elements of the largest array in the compiled program of a loss and its gradient."""
    program = jax.jit(jax.value_and_grad(loss)).lower(hidden, head).compile().as_text()
    shapes = re.findall(r'[a-z]+[0-9]+\[([0-9,]+)\]', program)
    return max(int(np.prod([int(size) for size in shape.split(',')])) for shape in shapes)


def test_no_program_of_the_chunked_loss_holds_all_logits():
    batch, length, width, vocab, chunk = 2, 64, 8, 331, 16
    hidden, head = jnp.ones((batch, length, width)), jnp.ones((width, vocab))
    targets = jnp.zeros((batch, length), jnp.int32)
    weights = jnp.ones((batch, length))

    def whole(x, head):
        return next_token_loss(x @ head, targets, weights)

    def chunked(x, head):
        return chunked_next_token_loss(x, head, targets, weights, chunk=chunk)

    assert largest_array(whole, hidden, head) == batch * length * vocab
    assert largest_array(chunked, hidden, head) == batch * chunk * vocab


def test_logits_are_made_only_where_the_loss_is():
    weights = jnp.zeros((2, 64)).at[:, jnp.array([9, 20, 33, 60])].set(1.0)
    hidden = jnp.where(weights[..., None] > 0, 0.5, jnp.nan) * jnp.ones((2, 64, 8))
    head = jnp.asarray(np.random.default_rng(0).normal(size=(8, 21)), jnp.float32)
    targets = jnp.zeros((2, 64), jnp.int32)

    def loss(x):
        return chunked_next_token_loss(x, head, targets, weights, chunk=4)

    # A position without weight that became logits would make this NaN, even times zero.
    value, gradient = jax.value_and_grad(loss)(hidden)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert not np.asarray(gradient)[np.asarray(weights) == 0].any()
