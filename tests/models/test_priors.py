"""Several priors, their places and their sources, against what is put together by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.experiment import state
from emola_jax.experts.mesh import landmarks_of_crops
from emola_jax.models.config import TINY, EmolaConfig, PriorConfig
from emola_jax.models.emola import Emola
from emola_jax.models.face_prior import FacePrior
from tests.models.tiny import conversation, random_params, run

pytestmark = pytest.mark.usefixtures('compiled_quickly')

BEFORE = PriorConfig(place='before')
TWO = TINY.replace(more_priors=(('second', PriorConfig(hidden=8, standardize=True)),))


def visual(cfg, params, batch):
    return np.asarray(run(Emola(cfg), params, batch, Emola.visual))[0]


def token(prior, params, landmarks):
    return np.asarray(FacePrior(prior, TINY.llm.width).apply({'params': params}, landmarks))[0, 0]


def test_before_is_after_with_its_tokens_moved():
    batch, params = conversation(TINY, 3, seed=0), random_params(TINY)
    after, before = (
        visual(TINY.replace(prior=prior), params, batch) for prior in (TINY.prior, BEFORE)
    )
    np.testing.assert_array_equal(before, np.roll(after, 1, axis=0))
    assert not np.allclose(before, after, atol=1e-3)


def test_two_priors_are_two_tokens_in_their_places():
    params = random_params(TWO)
    batch = conversation(TWO, 3, seed=0)
    assert TWO.visual_tokens == TINY.visual_tokens + 1 == int((batch['tokens'] == -1).sum())
    priors = {
        '1': token(TINY.prior, params['face_prior'], batch['landmarks']),
        '2': token(TWO.more_priors[0][1], params['more_priors']['second'], batch['landmarks']),
    }
    for first, second, order in (
        ('after', 'after', 'p12'),
        ('before', 'before', '12p'),
        ('before', 'after', '1p2'),
        ('after', 'before', '2p1'),
    ):
        more = PriorConfig(hidden=8, standardize=True, place=second)
        cfg = TWO.replace(prior=PriorConfig(place=first), more_priors=(('second', more),))
        tokens = visual(cfg, params, batch)
        patches = np.asarray(run(Emola(cfg), params, batch['images'], Emola.patches))[0, 0]
        parts = [patches if part == 'p' else priors[part][None] for part in order]
        np.testing.assert_allclose(tokens, np.concatenate(parts), atol=1e-6)


def test_both_projectors_learn_and_what_stands_before_them_is_frozen():
    params = jax.tree.map(jnp.asarray, random_params(TWO))
    frozen, trainable = state.split(params)
    batch = conversation(TWO, 4, seed=0)

    @jax.jit
    def gradient(trainable):
        return jax.grad(
            lambda t: Emola(TWO).apply({'params': state.merge(frozen, t)}, batch).var()
        )(trainable)

    gradients = gradient(trainable)
    assert set(gradients['more_priors']['second']) == {'projector'}
    assert set(frozen['more_priors']['second']) == {'mean', 'std'}
    for projector in (gradients['face_prior'], gradients['more_priors']['second']):
        for leaf in jax.tree.leaves(projector):
            assert np.abs(leaf).max() > 1e-6


def test_landmarks_from_the_image_are_those_of_the_expert():
    cfg = TINY.replace(prior=PriorConfig(source='image'))
    params = random_params(cfg)
    batch = conversation(cfg, 3, seed=0)
    assert 'landmarks' not in batch
    images = np.asarray(batch['images'])[0]
    landmarks = jax.jit(landmarks_of_crops)(params['landmark_expert'], images)
    assert landmarks.shape == (1, 212)
    assert np.isfinite(landmarks).all()
    told = {**batch, 'landmarks': np.asarray(landmarks)[None]}
    shown = {name: part for name, part in params.items() if name != 'landmark_expert'}
    np.testing.assert_allclose(
        visual(cfg, params, batch), visual(TINY, shown, told), rtol=1e-4, atol=1e-4
    )
    _, trainable = state.split(params)
    assert 'landmark_expert' not in trainable


def test_a_model_of_computed_landmarks_needs_images_even_without_a_tower():
    cfg = TINY.replace(vision=None, prior=PriorConfig(source='image'))
    assert (cfg.reads_images, cfg.reads_landmarks, cfg.visual_tokens) == (True, False, 1)
    off = cfg.replace(prior=PriorConfig(source='image', enabled=False))
    assert (off.reads_images, off.computes_landmarks, off.visual_tokens) == (False, False, 0)


def test_a_mapping_of_priors_comes_back():
    values = {'prior': {'place': 'before'}, 'more_priors': {'b': {'hidden': 4}, 'a': {}}}
    cfg = EmolaConfig.from_config_dict(values)
    assert [name for name, _ in cfg.more_priors] == ['a', 'b']
    assert EmolaConfig.from_config_dict(cfg.to_dict()) == cfg


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'prior': {'source': 'file'}}, r"prior\.source 'file' must be one of"),
        ({'prior': {'place': 'between'}}, r"prior\.place 'between' must be one of"),
        ({'prior': {'source': 'image', 'inputs': 10}}, r'prior\.inputs 10 must be 212'),
        ({'more_priors': {'a': {'sauce': 'disk'}}}, r'more_priors\.a\.sauce'),
        ({'more_priors': {'a': {'source': 'shuffled'}}}, 'exclude each other'),
    ],
)
def test_faults_in_a_prior_are_told(values, message):
    with pytest.raises(UserError, match=message):
        EmolaConfig.from_config_dict(values)
