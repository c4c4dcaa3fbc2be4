"""Absurd values of foreign configs: one message at once, before anything is built."""

import json
import time

import gguf
import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.formats import hf_config_in
from emola_jax.formats.gguf import read_gguf_llama
from emola_jax.formats.read_folder import _model_file
from emola_jax.models.config import VisionConfig
from emola_jax.models.tokenizer import Tokenizer
from tests.formats.checkpoints import BASE, CLIP, MODEL
from tests.formats.test_gguf import small_tensors, write

ABSURD = [0, -1, 10**6, 10**9, 2**63, 10**400, 1.5, float('nan'), True, 'x', None, [], {}, '\ud800']


def seconds_of(read, path):
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        read(path)
    assert len(str(caught.value)) < 2000
    return time.process_time() - start


@pytest.mark.parametrize('value', ABSURD, ids=lambda value: f'{value!r:.12}')
@pytest.mark.parametrize(
    'field',
    ['vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'intermediate_size'],
)
def test_a_language_model(field, value, tmp_path):
    if value == 10**6 and field in ('vocab_size', 'intermediate_size'):
        value = 10**8  # a million is large, and possible
    config = json.loads((BASE / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps({**config, field: value}))
    read = lambda path: hf_config_in.read_model(path, VisionConfig())  # noqa: E731
    assert seconds_of(read, tmp_path) < 1


@pytest.mark.parametrize('value', ABSURD, ids=lambda value: f'{value!r:.12}')
@pytest.mark.parametrize('field', ['image_size', 'patch_size', 'num_hidden_layers', 'hidden_size'])
def test_a_tower(field, value, tmp_path):
    config = json.loads((CLIP / 'config.json').read_text())
    config = config.get('vision_config', config)
    (tmp_path / 'config.json').write_text(json.dumps({**config, field: value}))
    assert seconds_of(hf_config_in.read_vision, tmp_path) < 1


def test_heads_that_do_not_divide_name_the_file(tmp_path):
    config = json.loads((BASE / 'config.json').read_text())
    changed = {**config, 'num_attention_heads': 4, 'num_key_value_heads': 3}
    (tmp_path / 'config.json').write_text(json.dumps(changed))
    with pytest.raises(UserError, match=r'config\.json: .*\n.*kv_heads'):
        hf_config_in.read_model(tmp_path, VisionConfig())


@pytest.mark.parametrize('value', ABSURD, ids=lambda value: f'{value!r:.12}')
@pytest.mark.parametrize('part', ['llm.layers', 'vision.width', 'lora.rank', 'prior.inputs', 'llm'])
def test_our_own_model_file(part, value, tmp_path):
    model = json.loads(json.dumps(MODEL.to_dict()))
    section, _, field = part.partition('.')
    if field:
        model[section][field] = value
    else:
        model[section] = value
    if value in (None, {}) and not field:
        value = 1
        model[section] = 1
    path = tmp_path / 'emola.json'
    path.write_text(json.dumps({'model': model, 'foreign': {}}))
    assert seconds_of(_model_file, path) < 1


@pytest.mark.parametrize(
    ('field', 'value'),
    [('block_count', 10**6), ('embedding_length', 2**31), ('head_count', 0), ('head_count_kv', 3)],
)
def test_a_gguf_file(field, value, tmp_path, monkeypatch):
    plain = getattr(gguf.GGUFWriter, f'add_{field}')
    monkeypatch.setattr(gguf.GGUFWriter, f'add_{field}', lambda self, _: plain(self, value))
    path = write(tmp_path / 'a.gguf', small_tensors())
    assert seconds_of(read_gguf_llama, path) < 2


@pytest.mark.parametrize(
    ('fields', 'fault'),
    [
        ({'token_merges': ['x x']}, "merges 'x x', no two"),
        ({'token_merges': ['xx']}, 'merges'),
        ({'token_list': ['x'] * 3}, 'different'),
        ({'token_types': [1]}, 'types'),
        ({'eos_token_id': 99}, 'eos_id is 99'),
        ({'tokenizer_pre': 'llama'}, 'expected'),
    ],
)
def test_a_gguf_tokenizer(fields, fault, tmp_path):
    path = tmp_path / 'a.gguf'
    writer = gguf.GGUFWriter(path, 'llama')
    whole = {
        'token_list': ['x', 'y', 'xy'],
        'token_types': [1, 1, 1],
        'token_merges': ['x y'],
        'tokenizer_model': 'gpt2',
        'tokenizer_pre': 'smollm',
        'eos_token_id': 2,
    }
    for name, value in {**whole, **fields}.items():
        getattr(writer, f'add_{name}')(value)
    writer.add_tensor('x', np.zeros(1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match=fault):
        Tokenizer.from_gguf(path)
