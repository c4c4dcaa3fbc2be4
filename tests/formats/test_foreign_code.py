"""Code that foreign files name is never run, fetched or handed on."""

import json
import sys

import pytest
import tensorflow_datasets as tfds

from emola_jax.errors import UserError
from emola_jax.formats import foreign_code
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.verify import _has_only_our_code
from emola_jax.formats.write import Options, copy_tokenizer
from emola_jax.formats.write_emola import config as emola_config
from emola_jax.weights import hub
from input_pipeline.datasets import built
from tests.formats.checkpoints import released_copy
from tests.formats.whole_folders import change_json

AUTO_MAP = {'AutoTokenizer': ['evil.Tokenizer', None], 'AutoConfig': 'evil--repo.Config'}


def everything(folder):
    return {path.name: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_fields_that_name_code_go_at_any_depth():
    value = {
        'auto_map': AUTO_MAP,
        'a': [{'custom_pipelines': {}, 'b': 1}],
        'text_config': {'_attn_implementation': 'owner/kernels', 'trust_remote_code': True},
    }
    assert foreign_code.without_code(value) == {'a': [{'b': 1}], 'text_config': {}}


def test_neither_tokenizer_nor_config_hands_code_on(tmp_path):
    folder = released_copy(tmp_path)
    base = tmp_path / 'llava-v1.5-tiny-mha'
    change_json(base / 'tokenizer_config.json', auto_map=AUTO_MAP, custom_pipelines={'x': {}})
    (base / 'evil.py').write_text('raise SystemExit("run")')
    change_json(folder / 'config.json', auto_map=AUTO_MAP, _attn_implementation='owner/kernels')
    source = read_folder(folder)
    out = tmp_path / 'out'
    out.mkdir()
    copy_tokenizer(source, out)
    (out / 'config.json').write_text(json.dumps(emola_config(source, None)))
    written = everything(out)
    assert {'tokenizer.model', 'tokenizer_config.json'} <= written.keys()
    assert not any(name.endswith('.py') for name in written)
    for name, content in written.items():
        for word in (b'auto_map', b'evil', b'custom_pipelines', b'kernels'):
            assert word not in content, name
    assert Options  # the formats' writers share `copy_tokenizer`


def test_our_own_files_alone_are_run_when_a_folder_is_verified(tmp_path):
    own = foreign_code.__file__.replace('foreign_code.py', 'hf_files/processing_emola.py')
    copy = tmp_path / 'processing_emola.py'
    assert not _has_only_our_code(tmp_path)
    copy.write_bytes(open(own, 'rb').read())  # noqa: PTH123, SIM115
    assert _has_only_our_code(tmp_path)
    copy.write_bytes(copy.read_bytes() + b'\nimport os')
    assert not _has_only_our_code(tmp_path)


@pytest.mark.parametrize('field', ['base_model_name_or_path', 'mm_vision_tower'])
def test_what_a_folder_names_is_not_fetched_unasked(field, tmp_path, monkeypatch):
    def fetched(name, **_):
        raise ConnectionError(f'asked for {name}')

    monkeypatch.setattr('huggingface_hub.snapshot_download', fetched)
    folder = released_copy(tmp_path)
    file = 'config.json' if 'tower' in field else 'adapter_config.json'
    change_json(folder / file, **{field: 'owner/model'})
    flag = '--clip' if 'tower' in field else '--base'
    with pytest.raises(UserError, match=f"names 'owner/model'.*--allow-download.*{flag}") as caught:
        read_folder(folder)
    assert 'asked for' not in str(caught.value)
    with pytest.raises(UserError, match='asked for owner/model'):
        read_folder(folder, allow_download=True)
    # What the user names is asked for.
    with pytest.raises(UserError, match='asked for another/one'):
        read_folder(folder, **{flag[2:]: 'another/one'})


@pytest.mark.parametrize('name', ['x' * 5000, 'a\0b', '~nobody_here/x'])
def test_any_text_may_be_a_name(name):
    with pytest.raises(UserError, match='no such folder'):
        hub.local_folder(name)


@pytest.mark.parametrize('place', ['type', 'pythonClassName', 'proto_cls'])
def test_a_data_set_names_our_own_types_of_features_alone(place, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'evil_features', raising=False)
    (tmp_path / 'evil_features.py').write_text(f'open({str(tmp_path / "run")!r}, "w")')
    (tmp_path / 'dataset_info.json').write_text('{"name": "x", "version": "1.0.0"}')
    features = json.dumps(built.record_features().to_json())
    own = 'tensorflow_datasets.core.features.text_feature.Text'
    if place == 'type':
        own = 'tensorflow_datasets.core.features.features_dict.FeaturesDict'
    elif place == 'proto_cls':
        own = 'tensorflow_datasets.FeaturesDict'
    assert own in features
    path = tmp_path / 'features.json'
    path.write_text(features.replace(own, 'evil_features.Text', 1))
    with pytest.raises(UserError, match=r"features\.json: names the feature 'evil_features\.Text'"):
        built.load(tmp_path, 'train')
    assert not (tmp_path / 'run').exists()
    # TFDS itself imports it:
    if place != 'proto_cls':
        with pytest.raises(Exception, match='evil_features'):
            tfds.builder_from_directory(str(tmp_path))
        assert (tmp_path / 'run').exists()
