from pathlib import Path

import pytest

from emola_jax.config import config_files
from emola_jax.errors import UserError

PACKAGED = Path(__file__).parents[2] / 'configs'


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_packaged_config_is_found_from_anywhere():
    assert config_files.resolve('configs/tiny.py') == str(PACKAGED / 'tiny.py')
    assert config_files.resolve('configs/mini.py:long') == f'{PACKAGED / "mini.py"}:long'


def test_a_file_of_the_working_directory_wins(elsewhere):
    own = elsewhere / 'configs/tiny.py'
    own.parent.mkdir()
    own.write_text('')
    assert config_files.resolve('configs/tiny.py:a=1,b=2:3') == 'configs/tiny.py:a=1,b=2:3'
    assert config_files.resolve(f'{own}:x') == f'{own}:x'


@pytest.mark.parametrize('spec', ['configs/nope.py', 'other/tiny.py', 'tiny.py:arg', ''])
def test_unknown_config_lists_what_there_is(spec):
    with pytest.raises(UserError, match=r'configs/mini\.py, configs/tiny\.py'):
        config_files.resolve(spec)


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (['--config=configs/tiny.py:image'], [f'--config={PACKAGED / "tiny.py"}:image']),
        (['--config', 'configs/tiny.py'], ['--config', f'{PACKAGED / "tiny.py"}']),
        (['--config.seed=3', '--workdir=w'], ['--config.seed=3', '--workdir=w']),
        (['--', '--config=nope'], ['--', '--config=nope']),
    ],
)
def test_flag_in_every_spelling(given, expected):
    assert config_files.resolve_flag(['main', *given]) == ['main', *expected]


@pytest.mark.parametrize(
    ('spec', 'expected'),
    [
        ('configs/a.py', 'configs/a.py:fold=2'),
        ('configs/a.py:', 'configs/a.py:fold=2'),
        ('configs/a.py:au', 'configs/a.py:au,fold=2'),
        ('configs/a.py:task=au,dataset=disfa', 'configs/a.py:task=au,dataset=disfa,fold=2'),
    ],
)
def test_an_argument_goes_behind_those_that_are_there(spec, expected):
    assert config_files.with_argument(spec, 'fold', 2) == expected


def test_an_argument_that_is_there_is_not_given_twice():
    with pytest.raises(UserError, match="gives 'fold' itself"):
        config_files.with_argument('configs/a.py:task=au,fold=1', 'fold', 2)


def test_load_gives_the_values_of_the_argument():
    short, long = (config_files.load(f'configs/mini.py{preset}') for preset in ('', ':long'))
    assert 0 < short.train.steps < long.train.steps
    assert short.data.dataset == 'synthetic_faces'
