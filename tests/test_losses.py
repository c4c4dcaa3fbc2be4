import jax.numpy as jnp
import numpy as np
import torch

from emola_jax.losses import next_token_loss


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
