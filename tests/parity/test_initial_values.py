"""What a new run starts from, against what torch and PEFT draw for the released code."""

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch

from emola_jax.models.config import LoraConfig, PriorConfig
from emola_jax.models.face_prior import FacePrior
from emola_jax.models.lora import LoraDense
from emola_jax.models.projector import Projector
from emola_jax.parallel.sharding import unbox

WIDTH, INPUTS = 512, 212
LANDMARKS = np.random.default_rng(0).uniform(-1, 1, (64, INPUTS)).astype(np.float32)
CANDIDATES = {
    'visual': (Projector(WIDTH, WIDTH), np.zeros((1, 1024), np.float32)),
    'prior': (FacePrior(PriorConfig(), WIDTH), LANDMARKS),
}


def started(name):
    module, x = CANDIDATES[name]
    params = unbox(jax.jit(module.init)(jax.random.key(3), x)['params'])
    return params.get('projector', params)


def quantiles(values):
    return np.quantile(np.ravel(values), np.linspace(0, 1, 21))


def assert_drawn_alike(ours, theirs):
    """Both uniform within the same bounds, and no two values a pair."""
    theirs = theirs.detach().numpy()
    assert ours.size == theirs.size
    scale = np.abs(theirs).max()
    # 512 values scatter about 0.04 of the range around a uniform quantile.
    np.testing.assert_allclose(quantiles(ours), quantiles(theirs), atol=0.15 * scale)
    assert len(np.unique(np.asarray(ours))) > 0.9 * ours.size


@pytest.mark.parametrize('name', CANDIDATES)
def test_new_projectors_start_as_torchs_linear_does(name):
    torch.manual_seed(0)
    inputs = CANDIDATES[name][1].shape[-1]
    theirs = {'fc_1': torch.nn.Linear(inputs, WIDTH), 'fc_2': torch.nn.Linear(WIDTH, WIDTH)}
    ours = started(name)
    for layer, linear in theirs.items():
        assert_drawn_alike(ours[layer]['kernel'], linear.weight)
        assert_drawn_alike(ours[layer]['bias'], linear.bias)
        bound = linear.in_features**-0.5
        for leaf in ours[layer].values():
            assert 0.98 * bound < np.abs(leaf).max() <= bound


def test_the_first_prior_tokens_are_as_large_as_the_released_ones():
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, WIDTH)
    )
    tokens = CANDIDATES['prior'][0].apply({'params': {'projector': started('prior')}}, LANDMARKS)
    ours = float(jnp.sqrt(jnp.mean(tokens**2)))
    expected = float(theirs(torch.tensor(LANDMARKS)).detach().square().mean().sqrt())
    assert abs(ours - expected) < 0.1 * expected


def test_new_adapters_start_as_pefts_do():
    torch.manual_seed(0)
    rank = 32
    linear = torch.nn.Sequential(torch.nn.Linear(WIDTH, 96, bias=False))
    adapted = peft.get_peft_model(linear, peft.LoraConfig(r=rank, target_modules=['0']))
    theirs = dict(adapted.named_parameters())
    a, b = (theirs[f'base_model.model.0.lora_{side}.default.weight'] for side in 'AB')
    module = LoraDense(96, ('width', 'mlp'), lora=LoraConfig(rank=rank, alpha=1.0))
    ours = unbox(module.init(jax.random.key(0), jnp.zeros((1, WIDTH)))['params'])
    assert_drawn_alike(ours['lora_a'], a)
    assert np.abs(ours['lora_a']).max() <= WIDTH**-0.5
    assert not b.detach().any() and not np.any(ours['lora_b'])
