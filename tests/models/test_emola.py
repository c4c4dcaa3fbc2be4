import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from emola_jax.models.config import TINY, PriorConfig
from emola_jax.models.emola import Emola, splice
from emola_jax.models.face_prior import FacePrior
from emola_jax.models.projector import Projector
from tests.models.tiny import conversation, pack, random_params, run

pytestmark = pytest.mark.usefixtures('compiled_quickly')

MODEL = Emola(TINY)
PARAMS = random_params(TINY)


def logits(batch, model=MODEL, params=PARAMS):
    return np.asarray(run(model, params, batch))


def test_splice_is_the_loop_over_samples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 12, 5)).astype(np.float32)
    visual = rng.normal(size=(3, 6, 5)).astype(np.float32)
    tokens = rng.integers(0, 9, (3, 12))
    tokens[0, [1, 2, 3, 7, 8, 9]] = -1
    tokens[1, 4:7] = -1
    expected = x.copy()
    for row in range(3):
        taken = 0
        for position in range(12):
            if tokens[row, position] == -1:
                expected[row, position] = visual[row, taken]
                taken += 1
    np.testing.assert_allclose(splice(x, visual, tokens), expected, rtol=1e-6)


def test_a_visual_token_without_a_vector_is_nan():
    tokens = np.array([[3, -1, -1, -1, 4]])
    out = np.asarray(
        splice(np.ones((1, 5, 2), np.float32), np.zeros((1, 2, 2), np.float32), tokens)
    )
    np.testing.assert_array_equal(out[0, :, 0], [1, 0, 0, np.nan, 1])


def test_patches_come_first_and_the_prior_behind_them():
    batch = conversation(TINY, 3, seed=0)
    visual = np.asarray(run(MODEL, PARAMS, batch, Emola.visual))[0]
    patches = np.asarray(run(MODEL, PARAMS, batch['images'], Emola.patches))[0, 0]
    prior_model = FacePrior(TINY.prior, TINY.llm.width)
    prior = np.asarray(run(prior_model, PARAMS['face_prior'], batch['landmarks']))[0, 0]
    np.testing.assert_allclose(visual[:-1], patches, rtol=1e-6)
    np.testing.assert_allclose(visual[-1], prior, rtol=1e-6)
    embedded = np.asarray(run(MODEL, PARAMS, batch, Emola.embed))[0]
    np.testing.assert_allclose(embedded[1 : len(visual) + 1], visual, rtol=1e-6)
    table = PARAMS['llm']['embed']
    np.testing.assert_allclose(embedded[0], table[1], rtol=1e-6)
    np.testing.assert_allclose(embedded[len(visual) + 1 :], table[batch['tokens'][0, -3:]])


@pytest.mark.parametrize(
    ('vision', 'prior', 'unread'),
    [(False, True, 'images'), (True, False, 'landmarks')],
)
def test_a_sense_that_is_off_has_no_token_and_no_parameter(vision, prior, unread):
    cfg = TINY.replace(vision=TINY.vision if vision else None, prior=PriorConfig(enabled=prior))
    batch = conversation(cfg, 4, seed=0)
    assert unread not in batch
    params = random_params(cfg)
    assert ('vision' in params, 'face_prior' in params) == (vision, prior)
    assert logits(batch, Emola(cfg), params).shape == (1, 5 + cfg.visual_tokens, cfg.llm.vocab)


def test_packed_conversations_have_the_logits_they_have_alone():
    first, second, third = (conversation(TINY, n, seed=n) for n in (7, 12, 3))
    packed = logits(pack([first, second, third], length=48))[0]
    start = 0
    for alone in (first, second, third):
        length = alone['tokens'].shape[1]
        np.testing.assert_allclose(packed[start : start + length], logits(alone)[0], atol=1e-5)
        start += length
    assert np.isfinite(packed).all()


def test_a_change_in_one_conversation_changes_nothing_in_another():
    first, second = (conversation(TINY, n, seed=n) for n in (7, 12))
    other = conversation(TINY, 7, seed=99)
    length = first['tokens'].shape[1]
    before, after = (logits(pack([c, second], length=40))[0] for c in (first, other))
    np.testing.assert_array_equal(before[length:], after[length:])
    assert not np.allclose(before[:length], after[:length], atol=1e-3)


def test_a_token_sees_no_later_one():
    batch = conversation(TINY, 10, seed=0)
    changed = {**batch, 'tokens': batch['tokens'].copy()}
    changed['tokens'][0, -2] += 1
    np.testing.assert_array_equal(logits(batch)[0, :-2], logits(changed)[0, :-2])
    assert not np.allclose(logits(batch)[0, -1], logits(changed)[0, -1], atol=1e-3)


def test_projector_is_torchs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 6)).astype(np.float32)
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.GELU(), torch.nn.Linear(9, 4))
    params = {
        name: {'kernel': layer.weight.detach().numpy().T, 'bias': layer.bias.detach().numpy()}
        for name, layer in (('fc_1', theirs[0]), ('fc_2', theirs[2]))
    }
    out = Projector(9, 4).apply({'params': params}, x)
    np.testing.assert_allclose(out, theirs(torch.tensor(x)).detach().numpy(), atol=1e-6)
    scaled = np.asarray(Projector(9, 4, rms=0.136).apply({'params': params}, x))
    np.testing.assert_allclose(np.sqrt((scaled**2).mean(-1)), 0.136, rtol=1e-3)
    np.testing.assert_allclose(scaled[:, :1] * out, scaled * out[:, :1], atol=1e-6)


def test_prior_standardises_with_its_stored_numbers():
    landmarks = np.random.default_rng(0).uniform(-1, 1, (2, 212)).astype(np.float32)
    plain, standard = (FacePrior(PriorConfig(standardize=s), 8) for s in (False, True))
    params = random_params(TINY)['face_prior']
    params = {'projector': standard.init(jax.random.key(0), landmarks)['params']['projector']}
    mean = np.linspace(-1, 1, 212, dtype=np.float32)
    std = np.linspace(1, 2, 212, dtype=np.float32)
    ours = standard.apply({'params': {**params, 'mean': mean, 'std': std}}, landmarks)
    expected = plain.apply({'params': params}, (landmarks - mean) / std)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_dropout_needs_its_rng_and_changes_the_logits():
    cfg = TINY.replace(lora=TINY.lora.__class__(rank=4, alpha=8.0, dropout=0.5))
    batch = conversation(cfg, 6, seed=0)
    apply = jax.jit(
        lambda seed: Emola(cfg).apply(
            {'params': jax.tree.map(jnp.asarray, PARAMS)},
            batch,
            False,
            rngs={'dropout': jax.random.key(seed)},
        )
    )
    dropped, again, other = apply(0), apply(0), apply(1)
    np.testing.assert_array_equal(dropped, again)
    assert not np.allclose(dropped, other, atol=1e-3)
    np.testing.assert_allclose(logits(batch, Emola(cfg)), logits(batch), atol=1e-6)
