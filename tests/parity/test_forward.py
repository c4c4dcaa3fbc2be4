import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emola_jax.experiment import state
from emola_jax.models.clip_vit import ClipVit, normalize_images
from emola_jax.models.emola import Emola
from emola_jax.models.face_prior import FacePrior
from emola_jax.training.loss import next_token_loss
from tests.models.tiny import run
from tests.parity import golden

EXPECTED = golden.arrays('forward')


@pytest.fixture(scope='module')
def params():
    return golden.initial_params()


@pytest.fixture(scope='module')
def batch():
    return golden.batch(0)


@pytest.fixture(scope='module')
def logits(params, batch):
    return np.asarray(run(golden.MODEL, params, batch))


def test_vision_features_are_the_last_but_one_layers(params, batch):
    pixels = normalize_images(batch['images'][:, 0], golden.CFG.vision)
    features = run(ClipVit(golden.CFG.vision), params['vision'], pixels)
    np.testing.assert_allclose(features, EXPECTED['vision_features'], atol=2e-5)


def test_projections(params, batch):
    patches = run(golden.MODEL, params, batch['images'], Emola.patches)[:, 0]
    np.testing.assert_allclose(patches, EXPECTED['mm_projected'], atol=2e-5)
    prior = run(FacePrior(golden.CFG.prior, 64), params['face_prior'], batch['landmarks'])[:, 0]
    np.testing.assert_allclose(prior, EXPECTED['landmark_projected'], atol=2e-6)


def test_logits(batch, logits):
    positions = EXPECTED['positions']
    inside = batch['segment_ids'][:, positions] > 0
    assert inside.sum() > 50
    np.testing.assert_allclose(
        logits[:, positions][inside], EXPECTED['logits'][inside], rtol=0, atol=5e-5
    )


def test_loss(batch, logits):
    loss = next_token_loss(jnp.asarray(logits), batch['targets'], batch['loss_weights'])
    np.testing.assert_allclose(loss, EXPECTED['loss'], rtol=0, atol=1e-5)


def test_bfloat16_is_as_near_to_float32_as_the_references_own(batch, logits):
    """Over the first example; `logits` are the reference's to 5e-5, as tested above."""
    model = Emola(golden.CFG.replace(dtype='bfloat16', param_dtype='bfloat16'))
    frozen = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), golden.frozen())
    params = state.merge(frozen, golden.recorded('init'))
    rough = run(model, params, {name: leaf[:1] for name, leaf in batch.items()})
    inside = batch['segment_ids'][0] > 0
    distance = np.abs(np.asarray(rough)[0, inside] - logits[0, inside])
    farthest, mean = EXPECTED['bf16_distance']
    assert 1e-3 < distance.max() <= farthest
    assert distance.mean() <= mean
