import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from emola_jax.training.optimiser import OptimiserConfig, group_labels, make_optimiser, schedule


def toy_trainables():
    rng = np.random.default_rng(0)

    def leaf(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    return {
        'visual_projector': {'fc_1': {'kernel': leaf(3, 4), 'bias': leaf(4)}},
        'face_prior': {'projector': {'fc_1': {'kernel': leaf(5, 4), 'bias': leaf(4)}}},
        'llm': {'layers': {'q': {'lora_a': leaf(2, 4, 2), 'lora_b': leaf(2, 2, 4)}}},
    }


def test_the_first_update_has_rate_zero_and_the_last_ends_near_zero():
    rate = schedule(OptimiserConfig(), 1.0, 1000)
    assert float(rate(jnp.asarray(0))) == 0.0
    assert float(rate(jnp.asarray(30))) == pytest.approx(1.0)
    assert float(rate(jnp.asarray(515))) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.5)))


def test_four_groups():
    assert group_labels(toy_trainables()) == {
        'visual_projector': {'fc_1': {'kernel': 'projector_weights', 'bias': 'projector_biases'}},
        'face_prior': {'projector': {'fc_1': {'kernel': 'weights', 'bias': 'biases'}}},
        'llm': {'layers': {'q': {'lora_a': 'weights', 'lora_b': 'weights'}}},
    }


@pytest.mark.parametrize('clip_norm', [0.0, 0.5])
def test_three_steps_equal_torch_adamw(clip_norm):
    config = OptimiserConfig(lr=1e-2, projector_lr=2e-3, weight_decay=0.1, clip_norm=clip_norm)
    params = toy_trainables()
    labels = jax.tree.leaves(group_labels(params))
    ours, treedef = jax.tree.flatten(params)
    theirs = [torch.nn.Parameter(torch.tensor(np.asarray(leaf))) for leaf in ours]
    settings = {
        'weights': (config.lr, 0.1),
        'biases': (config.lr, 0.0),
        'projector_weights': (config.projector_lr, 0.1),
        'projector_biases': (config.projector_lr, 0.0),
    }
    peaks = [settings[label][0] for label in labels]
    adamw = torch.optim.AdamW(
        [
            {'params': [p], 'lr': settings[label][0], 'weight_decay': settings[label][1]}
            for p, label in zip(theirs, labels, strict=True)
        ]
    )
    optimiser = make_optimiser(config, steps=3)
    state = optimiser.init(params)
    rng = np.random.default_rng(1)
    for count in range(3):
        gradients = [rng.normal(size=leaf.shape).astype(np.float32) for leaf in ours]
        tree = jax.tree.unflatten(treedef, [jnp.asarray(g) for g in gradients])
        updates, state = optimiser.update(tree, state, params)
        params = optax.apply_updates(params, updates)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(theirs, clip_norm)
        factor = float(schedule(config, 1.0, 3)(jnp.asarray(count)))
        for group, peak in zip(adamw.param_groups, peaks, strict=True):
            group['lr'] = peak * factor
        adamw.step()
    for leaf, parameter in zip(jax.tree.leaves(params), theirs, strict=True):
        np.testing.assert_allclose(leaf, parameter.detach().numpy(), atol=2e-6)
