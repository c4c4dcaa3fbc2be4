import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from emola_jax.errors import UserError
from emola_jax.generation.sampler import Sampler

PROBABILITIES = np.array([0.15, 0.4, 0.05, 0.3, 0.1])
LOGITS = jnp.log(PROBABILITIES)


def frequencies(sampler, draws=20_000):
    rows = jnp.broadcast_to(LOGITS, (draws, 5))
    ids = np.asarray(sampler(rows, jax.random.key(0)))
    return np.bincount(ids, minlength=5) / draws


@pytest.mark.parametrize(
    ('sampler', 'expected'),
    [
        (Sampler(temperature=1.0), PROBABILITIES),
        (Sampler(temperature=2.0), PROBABILITIES**0.5 / (PROBABILITIES**0.5).sum()),
        (Sampler(temperature=1.0, top_k=2), np.array([0, 4, 0, 3, 0]) / 7),
        # 0.4 + 0.3 falls short of 0.75, so the third is in as well.
        (Sampler(temperature=1.0, top_p=0.75), np.array([15, 40, 0, 30, 0]) / 85),
        (Sampler(temperature=1.0, top_p=0.69), np.array([0, 4, 0, 3, 0]) / 7),
        # top-p counts among what top-k left: 4/7 reaches 0.5 alone.
        (Sampler(temperature=1.0, top_k=2, top_p=0.5), np.array([0, 1, 0, 0, 0])),
        (Sampler(temperature=1.0, top_p=1e-9), np.array([0, 1, 0, 0, 0])),
        (Sampler(temperature=1.0, top_k=99), PROBABILITIES),
    ],
)
def test_distribution(sampler, expected):
    found = frequencies(sampler)
    np.testing.assert_allclose(found, expected, atol=0.015)
    np.testing.assert_array_equal(found[expected == 0], 0)


def test_the_distribution_is_hugging_faces():
    """Temperature, top-k and top-p over rows of every sharpness, against its logits processors."""
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(64, 97)) * rng.uniform(0.1, 8, (64, 1))).astype(np.float32)
    for temperature, top_k, top_p in itertools.product((0.01, 0.7, 1.5), (0, 5, 50), (0.2, 0.5, 1)):
        warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
        if top_k:
            warpers.append(TopKLogitsWarper(top_k))
        if top_p < 1:
            warpers.append(TopPLogitsWarper(top_p))
        theirs = warpers(None, torch.tensor(rows)).numpy()
        sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p)
        logits, ids = sampler.candidates(jnp.asarray(rows))
        ours = np.full_like(rows, -np.inf)
        np.put_along_axis(ours, np.asarray(ids), np.asarray(logits), axis=-1)
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
        np.testing.assert_allclose(
            jax.nn.softmax(ours), jax.nn.softmax(theirs), rtol=1e-4, atol=1e-6
        )


def test_greedy_takes_the_likeliest_and_no_randomness():
    np.testing.assert_array_equal(frequencies(Sampler()), [0, 1, 0, 0, 0])


def test_rows_are_drawn_apart():
    ids = np.asarray(Sampler(temperature=1.0)(jnp.zeros((64, 100)), jax.random.key(0)))
    assert len(set(ids.tolist())) > 30


@pytest.mark.parametrize(
    ('options', 'named'),
    [({'temperature': -1.0}, 'temperature'), ({'top_p': 0.0}, 'top_p'), ({'top_k': -1}, 'top_k')],
)
def test_impossible_options_are_refused(options, named):
    with pytest.raises(UserError, match=named):
        Sampler(**options)
