import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from configs import tiny
from emola_jax import bases, sharding, train_state
from emola_jax.errors import UserError
from emola_jax.landmarks import mesh_weights
from emola_jax.models.config import EmolaConfig, PriorConfig
from emola_jax.tokenizer import Tokenizer
from tests.tiny_experiment import MODEL


@pytest.fixture(scope='module')
def base():
    return bases.random_base(MODEL, 0)


def test_every_parameter_is_frozen_or_trainable_and_the_trainables_are_the_papers(base):
    frozen, trainable = bases.place(MODEL, base, sharding.make_mesh({'data': -1}), seed=0)
    names = {'/'.join(path) for path in flatten_dict(trainable)}
    layers = {
        f'llm/layers/{name}/lora_{side}'
        for name in ('q', 'k', 'v', 'o', 'gate', 'up', 'down')
        for side in 'ab'
    }
    projectors = {
        f'{where}/{layer}/{part}'
        for where in ('visual_projector', 'face_prior/projector')
        for layer in ('fc_1', 'fc_2')
        for part in ('kernel', 'bias')
    }
    assert names == layers | projectors
    assert not flatten_dict(frozen).keys() & flatten_dict(trainable).keys()
    merged = train_state.merge(frozen, trainable)
    assert jax.tree.structure(train_state.split(merged)[0]) == jax.tree.structure(frozen)


def test_whatever_does_not_fit_is_listed_at_once(base):
    flat = dict(flatten_dict(base.params))
    flat.pop(('llm', 'norm', 'scale'))
    flat[('llm', 'nose')] = np.zeros(3)
    flat[('llm', 'embed')] = flat[('llm', 'embed')].T
    broken = bases.Base(unflatten_dict(flat), 'x', 'x')
    with pytest.raises(UserError) as raised:
        bases.place(MODEL, broken, sharding.make_mesh({'data': -1}), seed=0)
    message = str(raised.value)
    assert 'llm/norm/scale: missing in the base weights' in message
    assert 'llm/nose: the model has no such parameter' in message
    assert 'llm/embed: has shape (32, 264), expected (264, 32)' in message


def test_the_same_seed_gives_the_same_start_on_any_mesh(base):
    one = bases.place(MODEL, base, sharding.make_mesh({'data': -1}), seed=3)[1]
    two = bases.place(MODEL, base, sharding.make_mesh({'data': 2, 'fsdp': 2, 'tensor': 2}), seed=3)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_computes_landmarks_has_the_pinned_expert_beside_its_base():
    config = tiny.get_config('image')
    model = EmolaConfig.from_config_dict(config.model)
    found = bases.load(config, model, None, Tokenizer.byte_level())
    plain = bases.load(config, model.replace(prior=PriorConfig()), None, Tokenizer.byte_level())
    jax.tree.map(
        np.testing.assert_array_equal, found.params['landmark_expert'], mesh_weights.load_params()
    )
    assert 'landmark_expert' not in plain.params
    assert found.fingerprint != plain.fingerprint
    frozen, trainable = bases.shapes_on(model, sharding.make_mesh({'data': -1}))
    assert jax.tree.structure(frozen) == jax.tree.structure(found.params)
    assert 'landmark_expert' not in trainable
