"""Folders as strangers bring them: each fault is a sentence, and nothing is written."""

import json
import os
import re
import shutil
import stat
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emola_jax import extras
from emola_jax.cli import command
from emola_jax.cli.convert import cli, main
from emola_jax.errors import UserError
from emola_jax.formats.read_folder import read_folder
from tests.formats.checkpoints import CLIP, llava_hf, released_copy
from tests.formats.whole_folders import change_json, original

POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9976578928\n'


@pytest.fixture
def plain(tmp_path):
    """A llava-hf folder."""
    llava_hf().save_pretrained(tmp_path / 'llava')
    return tmp_path / 'llava'


def refused(folder, *flags):
    """What the command says; nothing may have been written."""
    out = folder.parent / 'out'
    with pytest.raises(UserError) as caught:
        main([str(folder), '--to=llava-hf', f'--out={out}', *flags])
    assert not out.exists()
    return str(caught.value)


QUANTISED = {
    'bitsandbytes': {'quant_method': 'bitsandbytes', 'load_in_4bit': True},
    'bitsandbytes ': {'load_in_8bit': True, 'load_in_4bit': False},
    'gptq': {'quant_method': 'gptq', 'bits': 4},
    'awq': {'quant_method': 'awq', 'bits': 4},
    'fp8': {'quant_method': 'fp8'},
    'compressed-tensors': {'quant_method': 'compressed-tensors'},
    'hqq': {'quant_method': 'hqq'},
}


@pytest.mark.parametrize('where', ['top', 'text_config'])
@pytest.mark.parametrize('name', QUANTISED)
def test_a_quantised_model_is_one_line(name, where, plain):
    path = plain / 'config.json'
    values = json.loads(path.read_text())
    (values if where == 'top' else values[where])['quantization_config'] = QUANTISED[name]
    path.write_text(json.dumps(values))
    said = refused(plain)
    assert said == f'{plain}: quantised by {name.strip()}; give the unquantised weights'


def test_a_quantised_model_that_names_no_library_is_one_line(plain):
    change_json(plain / 'config.json', quantization_config='4 bits')
    assert refused(plain).endswith('quantised by an unnamed method; give the unquantised weights')


def as_4bit(folder):
    """bitsandbytes' layout: codes in one column, with their states."""
    state = load_file(folder / 'model.safetensors')
    for name in [n for n in state if n.endswith('q_proj.weight') and 'language' in n]:
        state[f'{name}.absmax'] = torch.ones(9)
        state[name] = torch.zeros(state[name].numel() // 2, 1, dtype=torch.uint8)
    save_file(state, folder / 'model.safetensors', metadata={'format': 'pt'})
    change_json(folder / 'config.json', quantization_config=QUANTISED['bitsandbytes'])


def test_weights_of_4_bits_are_one_line(plain):
    as_4bit(plain)
    assert '\n' not in refused(plain)


@pytest.mark.parametrize('dtype', [torch.int8, torch.uint8, torch.int16, torch.int32, torch.bool])
@pytest.mark.parametrize('suffix', ['safetensors', 'bin'])
def test_whole_numbers_are_no_weights(dtype, suffix, plain):
    path = plain / 'model.safetensors'
    state = load_file(path)
    (name,) = (n for n in state if n.endswith('layers.1.self_attn.k_proj.weight') and 'lang' in n)
    state[name] = state[name].to(dtype)
    if suffix == 'bin':
        path.unlink()
        torch.save(state, plain / 'pytorch_model.bin')
    else:
        save_file(state, path, metadata={'format': 'pt'})
    word = str(dtype).removeprefix('torch.')
    assert f'{name}: holds {word} numbers, as quantised weights do' in refused(plain)


@pytest.mark.parametrize('suffix', ['safetensors', 'bin'])
def test_numbers_of_8_bits_are_refused(suffix, plain):
    path = plain / 'model.safetensors'
    state = load_file(path)
    name = 'language_model.lm_head.weight'
    name = name if name in state else 'lm_head.weight'
    state[name] = state[name].to(torch.float8_e4m3fn)
    if suffix == 'bin':
        path.unlink()
        torch.save(state, plain / 'pytorch_model.bin')
    else:
        save_file(state, path, metadata={'format': 'pt'})
    assert re.search(rf'{name} is of type .*; give the unquantised', refused(plain))


@pytest.mark.parametrize(
    'name',
    [
        'adapter_model.bin',
        'non_lora_trainables.bin',
        'adapter_config.json',
        'config.json',
        '../llava-v1.5-tiny-mha/pytorch_model.bin',
        '../llava-v1.5-tiny-mha/config.json',
        '../llava-v1.5-tiny-mha/tokenizer.model',
        '../llava-v1.5-tiny-mha/tokenizer_config.json',
    ],
)
def test_a_git_lfs_pointer_says_so(name, tmp_path):
    folder = released_copy(tmp_path)
    (folder / name).write_bytes(POINTER)
    said = refused(folder)
    file = name.rsplit('/', 1)[-1]
    assert f'{file}: a Git LFS pointer, the file itself was not downloaded: git lfs pull' in said
    assert said.count('\n') <= 1


def test_pointers_are_named_before_a_vision_tower_that_is_missing(tmp_path):
    (tmp_path / 'config.json').write_text(
        json.dumps({'model_type': 'llava', 'mm_vision_tower': 'x'})
    )
    for name in ('pytorch_model.bin', 'tokenizer.model'):
        (tmp_path / name).write_bytes(POINTER)
    said = refused(tmp_path)
    assert 'pytorch_model.bin, ' in said and 'tokenizer.model: a Git LFS pointer' in said
    assert 'tower' not in said


@pytest.mark.parametrize('name', ['model.safetensors', 'model.safetensors.index.json'])
def test_a_git_lfs_pointer_of_safetensors_says_so(name, plain):
    (plain / name).write_bytes(POINTER)
    assert f'{name}: a Git LFS pointer' in refused(plain)


FIELDS = {
    'hidden_size': [None, '64', -1, 0, 2.5, [64], True],
    'num_attention_heads': [None, 0, 'four'],
    'num_hidden_layers': [None, 0],
    'vocab_size': [None, '512'],
    'rms_norm_eps': [None, 'small', -1e-5],
    'rope_scaling': ['linear', 2],
    'rope_theta': ['10000', -1],
    'tie_word_embeddings': [None, 'no'],
    'num_key_value_heads': ['4', -1],
    'mm_vision_select_layer': [None, '-2', [-2]],
    'mm_projector_type': [None, 3, {}],
    'mm_vision_tower': [3, ['a']],
}
NULLS = [(field, value) for field, values in FIELDS.items() for value in values]


@pytest.mark.parametrize(('field', 'value'), NULLS)
def test_a_field_of_another_type_is_named(field, value, tmp_path):
    folder = original(tmp_path / 'llava')
    change_json(folder / 'config.json', **{'mm_vision_tower': str(CLIP), field: value})
    said = refused(folder)
    assert re.search(rf'\b{field} is', said) or (field == 'rope_scaling' and field in said), said


@pytest.mark.parametrize('field', ['text_config', 'vision_config'])
@pytest.mark.parametrize('value', [None, 'llama', []])
def test_a_part_that_is_no_object_is_named(field, value, plain):
    change_json(plain / 'config.json', **{field: value})
    said = refused(plain)
    assert field in said or (field == 'text_config' and value is None), said


@pytest.mark.parametrize('value', [None, 'grey', [0.5], [None, 1, 1]])
def test_a_mean_that_is_none_is_named(value, tmp_path):
    clip = tmp_path / 'clip'
    shutil.copytree(CLIP, clip)
    change_json(clip / 'preprocessor_config.json', image_mean=value)
    folder = original(tmp_path / 'llava')
    said = refused(folder, f'--clip={clip}')
    assert 'preprocessor_config.json: image_mean is' in said


@pytest.mark.parametrize(
    'file', ['/etc/passwd', '../llava/model.safetensors', 'a/b.safetensors', None, 3, '', '..']
)
def test_an_index_names_files_of_its_own_folder(file, plain):
    index = {'weight_map': {'x': file}}
    (plain / 'model.safetensors.index.json').write_text(json.dumps(index))
    assert 'expected one next to the index' in refused(plain)


def test_a_shard_that_is_missing_is_named(plain):
    index = {'weight_map': {'x': 'model-00002-of-00002.safetensors'}}
    (plain / 'model.safetensors.index.json').write_text(json.dumps(index))
    assert 'model-00002-of-00002.safetensors: missing' in refused(plain)


def test_a_damaged_file_of_the_peft_format_is_named(tmp_path):
    folder = released_copy(tmp_path)
    out = tmp_path / 'peft'
    main([str(folder), '--to=peft', f'--out={out}', '--no-verify'])
    path = out / 'emola.json'
    whole = json.loads(path.read_text())
    for change, said in (
        ({'model': None}, "'model' is None, expected an object"),
        ({'foreign': 3}, "'foreign' is 3, expected an object"),
        ({'model': {'llm': {'vocab': None, 'nose': 3}}}, 'describes no model'),
        ({'template': 'vicuna_v9'}, r"conversation_template is 'vicuna_v9', expected one of"),
    ):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(UserError, match=said):
            read_folder(out, with_base=False)
    path.write_text('[]')
    with pytest.raises(UserError, match='expected a JSON object'):
        read_folder(out, with_base=False)


def test_a_base_of_pytorch_without_torch_says_how_to_install_it(tmp_path, monkeypatch):
    folder = original(tmp_path / 'llava')
    change_json(folder / 'config.json', mm_vision_tower=str(CLIP))
    monkeypatch.setitem(sys.modules, 'torch', None)
    said = refused(folder)
    assert extras.install('convert') in said
    assert 'needs PyTorch, which is not installed' in said


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    home = tmp_path / 'home'
    home.mkdir()
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.chdir(tmp_path)
    folder = released_copy(home)
    arguments = [f'~/{folder.name}', '--to=emola', '--out=~/out', '--no-verify']
    main([*arguments, '--base=~/llava-v1.5-tiny-mha', '--clip=~/clip-tiny-patch14-56'])
    assert (home / 'out' / 'adapter_config.json').is_file()
    assert not (tmp_path / '~').exists()


def said_by_the_command(monkeypatch, arguments):
    monkeypatch.setattr(sys, 'argv', ['convert', *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli()
    assert isinstance(caught.value.code, str)
    return caught.value.code


def test_where_nothing_can_be_written_is_a_sentence(plain, tmp_path, monkeypatch):
    file = tmp_path / 'file'
    file.write_text('mine')
    for out, said in (
        (file, 'exists already'),
        (file / 'out', 'is a file; a folder was expected'),
        (plain, 'exists already'),
        (tmp_path / ('x' * 300), 'name too long'),
    ):
        assert said in said_by_the_command(monkeypatch, [plain, '--to=llava-hf', f'--out={out}'])
    flags = ['--to=llava-hf', f'--out={file}', '--overwrite']
    assert 'no folder that this command wrote' in said_by_the_command(monkeypatch, [plain, *flags])
    assert file.read_text() == 'mine'


def test_a_closed_folder_is_a_sentence(plain, tmp_path, monkeypatch):
    closed = tmp_path / 'closed'
    closed.mkdir()
    real = os.access
    monkeypatch.setattr(
        command.os, 'access', lambda path, mode: path != closed and real(path, mode)
    )
    flags = ['--to=llava-hf', f'--out={closed / "out"}']
    said = said_by_the_command(monkeypatch, [plain, *flags])
    assert 'nothing can be written there' in said
    assert not list(closed.iterdir())
    assert stat.S_ISDIR(closed.stat().st_mode)


def test_a_full_disk_is_a_sentence(plain, tmp_path, monkeypatch):
    from emola_jax.formats import write

    def full(*_):
        raise OSError(28, 'No space left on device', str(tmp_path / 'out'))

    monkeypatch.setattr(write, '_write_file', full)
    shutil.copy(original(tmp_path / 'o') / 'tokenizer.model', plain)
    monkeypatch.setattr('emola_jax.formats.read_folder.vocabulary_faults', lambda *_: [])
    flags = ['--to=llava-hf', f'--out={tmp_path / "out"}', '--no-verify']
    said = said_by_the_command(monkeypatch, [plain, *flags])
    assert 'no space left on device; make room' in said
    assert not (tmp_path / 'out').exists()


def test_arrays_of_the_fault_tests_are_whole_without_the_fault(plain):
    """The folders above are refused for their fault alone."""
    assert np.isfinite(read_folder(plain).params['llm', 'embed'].whole()).all()
