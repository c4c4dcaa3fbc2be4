"""The command's own decisions; no libtpu is needed for them."""

import importlib.util
import json
import os
import signal

import pytest

from emola_jax.compile import chips, sweep
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


@pytest.mark.parametrize('topology', ['v9:2x2', 'v5e', 'v5e:2xtwo'])
def test_a_topology_that_is_none_is_refused(topology):
    with pytest.raises(UserError, match=r'expected CHIP:SIZES, for example v4:2x2x1'):
        chips.chip_of(topology)


def test_without_libtpu_it_says_what_to_install():
    if importlib.util.find_spec('libtpu') is None:
        with pytest.raises(UserError, match=r"pip install 'emola_jax\[tpu\]'"):
            chips.devices_of('v5e:2x2')


CASE = {'topology': 'v5e:2x2', 'batch': 64, 'length': 1024, 'mesh': 'auto', 'fast': True}


def test_a_sweep_goes_on_in_its_file_and_in_no_other(tmp_path):
    out, config = tmp_path / 'sweep.json', {'seed': 1}
    assert sweep.known(out, config) == []
    dead = CASE | {'batch': 256, 'died': 'of hunger'}
    out.write_text(json.dumps({'config': config, 'results': [CASE, dead]}))
    assert sweep.known(out, config) == [CASE]  # what died is tried again
    with pytest.raises(UserError, match='holds the sweep of another config'):
        sweep.known(out, {'seed': 2})


def test_only_what_is_missing_is_compiled(monkeypatch, capsys):
    asked = []

    def compiled(config, case, programs, hlo, memory):
        asked.append((case['topology'], case['fast'], *programs))
        return {'chips': 4} | {name: {} for name in programs}

    monkeypatch.setattr(sweep, 'in_own_process', compiled)
    wanted = sweep.cases(['v5e:2x2', 'v5e:2x4'], [64], [1024], ['auto'], fast=True)
    assert wanted[0] == CASE
    before = [CASE | {'train': {}}, CASE | {'fast': False, 'generate': {}}]
    *_, (_, results) = sweep.run(None, wanted, before, ['train', 'generate'])
    assert asked == [('v5e:2x2', True, 'generate'), ('v5e:2x4', True, 'train', 'generate')]
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
