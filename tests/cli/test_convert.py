"""What the command says, and that whatever is at fault changes nothing on disk."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from emola_jax.cli.convert import main
from emola_jax.errors import UserError
from emola_jax.formats.read_folder import read_folder
from tests.formats.checkpoints import TOKENIZER, llava_hf, released_copy

ADAPTER, PROJECTORS = 'adapter_model.bin', 'non_lora_trainables.bin'
LANDMARKS = 'landmark_feature_projector.bin'
PREFIX = 'base_model.model.model.'


def change_tensors(path, change):
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-300])


def without_landmarks(folder):
    (folder / LANDMARKS).unlink()
    change_tensors(
        folder / PROJECTORS,
        lambda s: [s.pop(name) for name in list(s) if 'landmark' in name],
    )


def another_landmark_projector(folder):
    def change(state):
        state[f'{PREFIX}landmark_feature_projector.0.bias'] += 1

    change_tensors(folder / LANDMARKS, change)


def another_rank(folder):
    def change(state):
        for name, tensor in state.items():
            state[name] = (tensor[:4] if '.lora_A.' in name else tensor[:, :4]).clone()

    change_tensors(folder / ADAPTER, change)


def another_tokenizer(folder):
    """One of 60 words, where the model has embeddings for 512."""
    base = folder.parent / 'llava-v1.5-tiny-mha'
    for path in TOKENIZER.glob('*'):
        (base / path.name).unlink(missing_ok=True)
    words = {'<unk>': 0, '<s>': 1, '</s>': 2, **{f'w{i}': i for i in range(3, 60)}}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token='<unk>')),
        bos_token='<s>',
        eos_token='</s>',
        unk_token='<unk>',
    ).save_pretrained(base)


Q = f'{PREFIX}layers.1.self_attn.q_proj.lora_A.weight'
FAULTS = {
    'a missing tensor': (
        lambda f: change_tensors(f / ADAPTER, lambda s: s.pop(Q)),
        [f'{ADAPTER}: {Q}: missing'],
    ),
    'an extra tensor': (
        lambda f: change_tensors(f / PROJECTORS, lambda s: s.update(nose=torch.ones(2))),
        ['model.nose: the model has no place for it'],
    ),
    'a transposed tensor': (
        lambda f: change_tensors(
            f / PROJECTORS,
            lambda s: s.update({f'{PREFIX}mm_projector.0.weight': torch.ones(32, 64)}),
        ),
        [r'mm_projector.0.weight: has shape \(32, 64\), expected \(64, 32\)'],
    ),
    'a truncated file': (
        lambda f: truncate(f / ADAPTER),
        [f'{ADAPTER}: not a readable PyTorch checkpoint'],
    ),
    'another rank': (another_rank, [f'{ADAPTER}: holds an adapter of rank 4, but .* says r = 8']),
    'no landmark projector': (without_landmarks, ['holds no landmark projector']),
    'two landmark projectors': (
        another_landmark_projector,
        ['landmark_feature_projector.0.bias is not the same in .* and'],
    ),
    'no visual projector': (
        lambda f: (f / PROJECTORS).unlink(),
        [f'holds no visual projector; expected it in {PROJECTORS}'],
    ),
    'no adapter file': (lambda f: (f / ADAPTER).unlink(), ['no adapter file; expected']),
    'another tokenizer': (
        another_tokenizer,
        ['llava-v1.5-tiny-mha: the tokenizer has 60 ids, but the model has embeddings for 512'],
    ),
    'no config': (
        lambda f: (f / 'config.json').write_text('{'),
        ['config.json: not JSON'],
    ),
    'an adapter of another kind': (
        lambda f: change_json(f / 'adapter_config.json', use_dora=True, bias='all'),
        ["bias is 'all', expected 'none'", 'use_dora is True, expected False'],
    ),
    'several at once': (
        lambda f: (
            change_tensors(f / ADAPTER, lambda s: s.pop(Q)),
            truncate(f / PROJECTORS),
            another_tokenizer(f),
        ),
        [f'{Q}: missing', f'{PROJECTORS}: not a readable', 'the tokenizer has 60 ids'],
    ),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_each_fault_is_named_and_nothing_is_written(tmp_path, fault):
    change, named = FAULTS[fault]
    folder = released_copy(tmp_path)
    change(folder)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(UserError) as caught:
        main([str(folder), '--to=emola', f'--out={tmp_path / "out"}'])
    for pattern in named:
        assert re.search(pattern, str(caught.value)), caught.value
    assert sorted(tmp_path.rglob('*')) == before


def test_the_base_is_checked_as_well(tmp_path):
    folder = released_copy(tmp_path)
    base = tmp_path / 'llava-v1.5-tiny-mha'
    change_tensors(base / 'pytorch_model.bin', lambda s: s.pop('model.norm.weight'))
    with pytest.raises(UserError, match=r'llava-v1.5-tiny-mha: model.norm.weight: missing'):
        read_folder(folder)
    change_json(base / 'config.json', num_hidden_layers=2, vocab_size=500)
    with pytest.raises(UserError, match=r'has vocab 500, but the adapter.*\n.*has layers 2, but'):
        read_folder(folder)
    with pytest.raises(UserError, match=r'its base model is missing .*name it with --base'):
        read_folder(folder, base=str(tmp_path / 'nowhere'))
    with pytest.raises(UserError, match=r'the vision tower is missing .*name it with --clip'):
        read_folder(folder, clip='some/where')


def test_a_target_that_exists_is_kept_unless_told_otherwise(tmp_path, capsys):
    folder, out = released_copy(tmp_path), tmp_path / 'out'
    out.mkdir()
    (out / 'mine').write_text('x')
    command = [str(folder), '--to=emola', f'--out={out}']
    with pytest.raises(UserError, match=r'out: exists already; name another --out, or'):
        main(command)
    with pytest.raises(UserError, match='is no folder that this command wrote'):
        main([*command, '--overwrite'])
    assert [path.name for path in out.iterdir()] == ['mine']
    (out / 'mine').unlink()
    main([*command, '--overwrite'])
    main([*command, '--overwrite', '--dtype=float16', '--no-verify'])
    adapter = torch.load(out / ADAPTER, weights_only=True)
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float16}
    with pytest.raises(UserError, match='holds what is read'):
        main([str(folder), '--to=emola', f'--out={folder}', '--overwrite'])
    said = capsys.readouterr().out
    assert f'{folder / ADAPTER}: 42 tensors (LoRA 42)' in said
    assert f'{folder / PROJECTORS}: 8 tensors (landmark projector 4, visual projector 4)' in said
    assert 'not verified: --no-verify' in said


def test_a_format_that_cannot_express_the_model_says_so_and_writes_nothing(tmp_path):
    llava_hf().save_pretrained(tmp_path / 'llava')
    with pytest.raises(UserError, match=r'has no LoRA adapter and has no prior.*use --to=hf'):
        main([str(tmp_path / 'llava'), '--to=emola', f'--out={tmp_path / "out"}'])
    assert [path.name for path in tmp_path.iterdir()] == ['llava']


def test_what_is_not_a_checkpoint_is_told_what_was_expected(tmp_path):
    for source, why in (
        (tmp_path, 'neither a run of this project, nor an adapter'),
        (tmp_path / 'nowhere', 'no such folder'),
        ('owner/name', 'owner/name: no such folder here, and the Hugging Face hub gave none'),
    ):
        with pytest.raises(UserError, match=why):
            main([str(source), '--to=emola', f'--out={tmp_path / "out"}'])


def test_the_command_prints_the_list_and_exits_with_1(tmp_path):
    folder = released_copy(tmp_path, base=False)
    without_landmarks(folder)
    command = [sys.executable, '-m', 'emola_jax.convert', folder, '--to=peft', '--out=out']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith('emola_jax.convert: ')
    assert 'holds no landmark projector' in done.stderr
    assert 'Traceback' not in done.stderr


_SLOW = """
import sys, time
from emola_jax.cli import convert
from emola_jax.formats import write
real = write._bytes
def slow(name, tensor):
    print('writing', flush=True)
    time.sleep(0.05)
    return real(name, tensor)
write._bytes = slow
convert.main(sys.argv[1:])
"""


def test_a_killed_write_leaves_no_folder_that_loads(tmp_path):
    folder, out = released_copy(tmp_path, base=False), tmp_path / 'out'
    command = [sys.executable, '-c', _SLOW, folder, '--to=peft', f'--out={out}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while 'writing' not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
    assert not out.exists()
    (left,) = tmp_path.glob('.out*')
    assert not (left / 'adapter_config.json').exists()
    main([str(folder), '--to=peft', f'--out={out}'])
    assert not list(tmp_path.glob('.out*'))
    assert len(load_file(out / 'adapter_model.safetensors')) == 42


def test_an_adapter_of_the_vision_tower_is_not_left_out_silently(tmp_path):
    llava_hf().save_pretrained(tmp_path / 'base')
    adapter = tmp_path / 'adapter'
    adapter.mkdir()
    config = {'peft_type': 'LORA', 'r': 2, 'lora_alpha': 4, 'target_modules': ['q_proj']}
    (adapter / 'adapter_config.json').write_text(json.dumps(config))
    llm, tower = (
        f'base_model.model.model.{part}.layers.{{}}.self_attn.q_proj.lora_{{}}.weight'
        for part in ('language_model', 'vision_tower.encoder')
    )
    state = {
        name.format(layer, side): torch.tensor(np.ones((2, n) if side == 'A' else (n, 2), 'f4'))
        for name, n in ((llm, 24), (tower, 16))
        for layer in range(2)
        for side in 'AB'
    }
    save_file(state, adapter / 'adapter_model.safetensors')
    with pytest.raises(UserError, match=r'vision_tower.*lora_A.weight: the model has no place'):
        read_folder(adapter, base=str(tmp_path / 'base'))
    plain = {name: tensor for name, tensor in state.items() if 'vision_tower' not in name}
    save_file(plain, adapter / 'adapter_model.safetensors')
    read = read_folder(adapter, base=str(tmp_path / 'base'))
    assert read.model.lora.targets == ('q',)
    assert (read.model.lora.rank, read.model.lora.alpha) == (2, 4.0)
    assert read.params['visual_projector', 'fc_1', 'kernel'].shape == (16, 24)
