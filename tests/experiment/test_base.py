import json
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from configs import emola, tiny
from emola_jax import extras
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import base as bases
from emola_jax.experiment import prepare, state
from emola_jax.experts import mesh_weights
from emola_jax.models.config import PriorConfig
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.parallel import sharding
from tests.formats.checkpoints import CLIP
from tests.formats.whole_folders import original
from tests.parity import golden
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
    merged = state.merge(frozen, trainable)
    assert jax.tree.structure(state.split(merged)[0]) == jax.tree.structure(frozen)


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
    config = RunConfig.from_config_dict(tiny.get_config('image'))
    model = config.model
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


@pytest.fixture
def on_llava(tmp_path, monkeypatch):
    """The paper's config on the released tiny base, in folders named with a tilde."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('EMOLA_CACHE', str(tmp_path / 'cache'))
    original(tmp_path / 'llava')
    shutil.copytree(CLIP, tmp_path / 'clip')
    config = emola.get_config('mix')
    sizes = golden.CFG.to_dict()
    config.model.update({key: sizes[key] for key in config.model})
    config.base.update({'llava': '~/llava', 'clip': '~/clip'})
    config.data.update({'root': str(golden.FOLDER / 'faba'), 'length': 512})
    config.mesh.update({'data': -1, 'fsdp': 1})
    return config


def refused(config, tmp_path):
    """What a run on the base says; the data set may not have been built before."""
    with pytest.raises(UserError) as caught:
        prepare.prepare(RunConfig.from_config_dict(config), tmp_path / 'run')
    assert not (tmp_path / 'cache').exists()
    return str(caught.value)


def test_a_base_in_the_home_folder_is_found(on_llava, tmp_path):
    run = prepare.prepare(RunConfig.from_config_dict(on_llava), tmp_path / 'run')
    assert run.tokenizer.encode('\nWhat AUs') == [448, 13, 493, 308, 361]
    assert not Path('~').exists()


def test_missing_torch_is_said_before_the_data_set_is_built(on_llava, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    said = refused(on_llava, tmp_path)
    assert "llava/pytorch_model.bin: PyTorch's own format needs PyTorch" in said
    assert extras.install('convert') in said


def test_a_pointer_of_git_lfs_is_said_before_the_data_set_is_built(on_llava, tmp_path):
    pointer = b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'
    (tmp_path / 'clip' / 'pytorch_model.bin').write_bytes(pointer)
    (tmp_path / 'llava' / 'tokenizer.model').write_bytes(pointer)
    said = refused(on_llava, tmp_path)
    assert 'pytorch_model.bin: a Git LFS pointer' in said
    assert 'tokenizer.model: a Git LFS pointer' in said


@pytest.mark.parametrize(
    ('folder', 'field', 'value', 'said'),
    [
        ('llava', 'rms_norm_eps', 1e-6, 'has norm_eps 1e-06, but the config says model.llm.norm_'),
        ('llava', 'rope_theta', 5e5, 'has rope_theta 500000.0, but the config says'),
        ('llava', 'num_key_value_heads', 2, 'has kv_heads 2, but the config says'),
        ('llava', 'mm_vision_select_layer', -1, 'has feature_layer -1, but the config says'),
        ('llava', 'hidden_size', None, 'hidden_size is None, expected a number of at least 1'),
        ('llava', 'quantization_config', {'quant_method': 'awq'}, 'quantised by awq; give the'),
        ('clip', 'quantization_config', {'load_in_8bit': True}, 'quantised by bitsandbytes'),
    ],
)
def test_a_base_that_contradicts_the_config_is_refused(
    folder, field, value, said, on_llava, tmp_path
):
    path = tmp_path / folder / 'config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert said in refused(on_llava, tmp_path)


def test_a_tokenizer_of_another_model_is_refused(on_llava, tmp_path):
    (tmp_path / 'llava' / 'added_tokens.json').write_text('{"<nose>": 512}')
    assert 'the tokenizer has 513 ids, but the model has embeddings for 512' in refused(
        on_llava, tmp_path
    )
