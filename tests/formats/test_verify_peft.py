"""The check of a written adapter by the real PEFT sees what is wrong with it."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from emola_jax import extras
from emola_jax.cli.convert import main
from emola_jax.errors import UserError
from emola_jax.formats import verify_adapter, verify_peft
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.write import Options
from emola_jax.formats.write_peft import write
from tests.formats.checkpoints import released_copy

pytestmark = pytest.mark.usefixtures('compiled_quickly')


@pytest.fixture(scope='module')
def released(tmp_path_factory):
    return read_folder(released_copy(tmp_path_factory.mktemp('released')))


@pytest.fixture
def folder(tmp_path, released):
    write(released, tmp_path, Options())
    return tmp_path


@pytest.mark.parametrize('dtype', [None, 'float16'])
def test_peft_reads_what_was_written(dtype, released, tmp_path):
    write(released, tmp_path, Options(dtype))
    assert verify_peft.check_written(released, tmp_path) < 1e-3


def other_alpha(folder):
    path = folder / 'adapter_config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'lora_alpha': 64}))


def other_names(folder):
    path = folder / 'adapter_model.safetensors'
    state = {n.replace('language_model', 'talking_model'): t for n, t in load_file(path).items()}
    path.unlink()
    save_file(state, path)


def other_targets(folder):
    path = folder / 'adapter_config.json'
    values = json.loads(path.read_text())
    values['target_modules'] = r'.*language_model\..*(q_proj|k_proj)'
    path.write_text(json.dumps(values))


def other_projector(folder):
    path = folder / 'projectors.safetensors'
    state = {n: t + 0.5 * torch.ones_like(t) for n, t in load_file(path).items()}
    path.unlink()
    save_file(state, path)


@pytest.mark.parametrize('spoil', [other_alpha, other_names, other_targets, other_projector])
def test_peft_sees_what_only_it_would_see(spoil, released, folder, monkeypatch):
    """With our own reader silenced: what PEFT makes of the folder has to tell it alone."""
    monkeypatch.setattr(verify_adapter, 'check_written', lambda *_: 0.0)
    spoil(folder)
    monkeypatch.setattr(verify_peft, 'read_folder', lambda *_, **__: released)
    with pytest.raises(UserError, match=r'its logits in PEFT differ|PEFT does not load'):
        verify_peft.check_written(released, folder)


def test_without_peft_the_command_says_what_checked_it(tmp_path, monkeypatch, capsys):
    folder = released_copy(tmp_path)
    monkeypatch.setitem(sys.modules, 'peft', None)
    main([str(folder), '--to=peft', f'--out={tmp_path / "out"}'])
    said = capsys.readouterr().out
    assert "by this project's own reader; not by PEFT, which is not installed" in said
    assert extras.install('convert') in said
