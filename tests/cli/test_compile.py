"""The command's own decisions; no libtpu is needed for them."""

import importlib.util
import json
import os
import re
import signal

import pytest

from configs import emola
from emola_jax import extras
from emola_jax.compile import chips, settings, sweep
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError


@pytest.mark.parametrize(
    ('chips_there', 'rows', 'expected'),
    [(16, 64, (16, 1)), (256, 64, (64, 4)), (256, 256, (256, 1)), (8, 12, (4, 2))],
)
def test_auto_shares_the_batch_as_far_as_it_goes(chips_there, rows, expected):
    axes = sweep.mesh_shape('auto', chips_there, rows)
    assert (axes['fsdp'], axes['tensor']) == expected


def test_a_mesh_is_read_or_refused():
    assert sweep.mesh_shape('data=2,fsdp=-1', 8, 8) == {'data': 2, 'fsdp': -1}
    with pytest.raises(UserError, match="--mesh '4x2': expected for example"):
        sweep.mesh_shape('4x2', 8, 8)


def test_numbers_are_read_or_refused():
    assert sweep.numbers('batch', ['64', '256']) == sweep.numbers('batch', [64, 256]) == [64, 256]
    for text in ('many', '0', '-1', '1.5', ''):
        with pytest.raises(UserError, match=f"--batch '{text}': expected numbers above 0"):
            sweep.numbers('batch', ['64', text])


@pytest.mark.parametrize('topology', ['v9:2x2', 'v5e', 'v5e:2xtwo'])
def test_a_topology_that_is_none_is_refused(topology):
    with pytest.raises(UserError, match=r'expected CHIP:SIZES, for example v4:2x2x1'):
        chips.chip_of(topology)


def test_without_libtpu_it_says_what_to_install():
    if importlib.util.find_spec('libtpu') is None:
        with pytest.raises(UserError, match=re.escape(extras.install('tpu'))):
            chips.devices_of('v5e:2x2')


CASE = {'topology': 'v5e:2x2', 'batch': 64, 'length': 1024, 'mesh': 'auto', 'fast': True}


def config_with(**changes):
    config = emola.get_config()
    config.update_from_flattened_dict(changes)
    return RunConfig.from_config_dict(config)


@pytest.fixture
def sweep_file(tmp_path):
    """A sweep of the paper's config with one finished case and one whose compiler died."""
    out = tmp_path / 'sweep.json'
    dead = CASE | {'batch': 256, 'died': 'of hunger'}
    out.write_text(json.dumps({'config': config_with().to_dict(), 'results': [CASE, dead]}))
    return out


def test_a_sweep_goes_on_in_its_file(sweep_file, tmp_path):
    assert sweep.known(tmp_path / 'none.json', config_with()) == []
    assert sweep.known(sweep_file, config_with()) == [CASE]  # what died is tried again


def test_every_command_that_filled_a_sweep_is_kept(tmp_path):
    out = tmp_path / 'sweep.json'
    assert sweep.commands(None, 'first') == sweep.commands(out, 'first') == ['first']
    out.write_text(json.dumps({'commands': ['first', 'second']}))
    assert sweep.commands(out, 'third') == ['first', 'second', 'third']
    assert sweep.commands(out, 'first') == ['first', 'second']


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('data.root', 'elsewhere'),
        ('base.llava', 'elsewhere'),
        ('train.log_every', 7),
        ('data.length', 99),  # each case names its own
        ('train.batch_size', 99),
    ],
)
def test_a_sweep_goes_on_after_a_change_that_no_program_reads(sweep_file, field, value):
    assert sweep.known(sweep_file, config_with(**{field: value})) == [CASE]


def test_a_sweep_goes_on_after_a_field_was_added_to_the_config(sweep_file):
    older = json.loads(sweep_file.read_text())
    del older['config']['hosts'], older['config']['train']['last_batch']
    del older['config']['eval']['merge'], older['config']['model']['lora']['targets']
    sweep_file.write_text(json.dumps(older))
    assert sweep.known(sweep_file, config_with()) == [CASE]


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('model.lora.rank', 64),
        ('model.remat', 'dots'),
        ('base.quantize', 'nf4'),
        ('train.accumulate', 2),
        ('train.optimiser.clip_norm', 1.0),
        ('eval.max_new_tokens.au', 4096),
        ('eval.merge', False),
    ],
)
def test_a_sweep_does_not_go_on_with_other_programs(sweep_file, field, value):
    named = next(name for name in settings.read(config_with()) if field.startswith(name))
    with pytest.raises(UserError, match=rf'holds the sweep of another config \({named} differ'):
        sweep.known(sweep_file, config_with(**{field: value}))


def test_a_file_that_is_no_sweep_is_not_overwritten(tmp_path):
    out = tmp_path / 'other.json'
    out.write_text('[1]')
    with pytest.raises(UserError, match=r'other\.json: no file that a sweep wrote'):
        sweep.known(out, config_with())


def test_only_what_is_missing_is_compiled(monkeypatch, capsys):
    asked = []

    def compiled(config, case, programs, hlo, memory):
        asked.append((case['topology'], case['fast'], *programs))
        return {'chips': 4, 'peak_bytes': 1} | {name: {} for name in programs}

    monkeypatch.setattr(sweep, 'in_own_process', compiled)
    wanted = sweep.cases(['v5e:2x2', 'v5e:2x4'], [64], [1024], ['auto'], fast=True)
    assert wanted[0] == CASE
    before = [CASE | {'train': {}, 'peak_bytes': 2}, CASE | {'fast': False, 'generate': {}}]
    *_, (_, results) = sweep.run(None, wanted, before, ['train', 'generate'])
    assert asked == [('v5e:2x2', True, 'generate'), ('v5e:2x4', True, 'train', 'generate')]
    assert [one['peak_bytes'] for one in results if one['fast']] == [2, 1]
    assert len(results) == 3 and all('train' in one for one in results if one['fast'])
    assert '[2/2] v5e:2x4, 64 x 1024, train and generate; about' in capsys.readouterr().out
    assert not list(sweep.run(None, wanted, results, ['train', 'generate']))


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def greedy(*_):
    return {'bytes': len(bytearray(64 << 30))}


@pytest.mark.parametrize(('work', 'memory'), [(killed, 0), (greedy, 4)])
def test_a_compiler_that_dies_is_a_row_that_says_so(work, memory, monkeypatch):
    monkeypatch.setattr(sweep, 'compile_case', work)
    found = sweep.in_own_process(None, CASE, ['train'], None, memory)
    assert 'want of memory' in found['died']
    assert ('--memory=4 GiB' in found['died']) == bool(memory)


def test_the_users_mistakes_come_back_from_the_other_process():
    with pytest.raises(UserError, match="--programs 'dance': expected some of"):
        sweep.in_own_process(None, CASE, ['dance'], None, 0)
