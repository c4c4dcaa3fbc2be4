"""Files with checksums, looked through by a command."""

import subprocess
import sys
from pathlib import Path

import pytest

from emola_jax.cli.verify import main, verify
from emola_jax.errors import UserError
from emola_jax.files import checksums
from emola_jax.files.checksums import SUMS_FILE
from tests.files.test_checksums import flip


@pytest.fixture
def run(tmp_path):
    files = {
        'config.json': '{}',
        'checkpoints/2/state/d/1': 'numbers',
        'checkpoints/2/metadata/metadata': '{"checksums": "SHA256SUMS"}',
        'checkpoints/4/state/d/1': 'other numbers',
        'checkpoints/4/metadata/metadata': '{"checksums": "SHA256SUMS"}',
    }
    root = tmp_path / 'run'
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for step in (2, 4):
        checksums.write(root / 'checkpoints' / str(step))
    checksums.write(root, ['config.json'])
    with checksums.sealed_write(root / 'cached.npy') as partial:
        partial.write_text('numbers')
    (root / 'notes.txt').write_text('mine')
    return root


def test_a_line_for_each_file_and_a_summary(run, capsys):
    assert verify(run)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        'intact   cached.npy',
        'intact   checkpoints/2/metadata/metadata',
        'intact   checkpoints/2/state/d/1',
        'intact   checkpoints/4/metadata/metadata',
        'intact   checkpoints/4/state/d/1',
        'intact   config.json',
        f'{run}: all 6 files are intact; 1 more has no checksum',
    ]


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('config.json', 'DAMAGED  config.json: is not what was written'),
        ('checkpoints/2/state/d/1', 'DAMAGED  checkpoints/2/state/d/1: is not what was written'),
        ('checkpoints/4/SHA256SUMS', 'DAMAGED  checkpoints/4/SHA256SUMS: is damaged'),
        ('SHA256SUMS', 'DAMAGED  SHA256SUMS: is damaged'),
        ('cached.npy', 'DAMAGED  cached.npy: is missing, or not what was written'),
        ('cached.npy.sha256', 'DAMAGED  cached.npy: is missing, or not what was written'),
    ],
)
def test_a_flipped_bit_is_named_and_counted(run, capsys, name, said):
    flip(run / name, 12)
    assert main([str(run)]) == 1
    shown = capsys.readouterr().out
    assert said in shown
    assert ' 1 of ' in shown and shown.splitlines()[-1].split(';')[0].endswith('files are damaged')


def test_files_and_sums_that_are_gone_are_named(run, capsys):
    (run / 'config.json').unlink()
    (run / 'cached.npy').unlink()
    (run / 'checkpoints/4' / SUMS_FILE).unlink()
    assert not verify(run)
    shown = capsys.readouterr().out
    assert 'DAMAGED  config.json: is missing' in shown
    assert 'DAMAGED  cached.npy: is missing' in shown
    assert 'DAMAGED  checkpoints/4/SHA256SUMS: is missing' in shown


def test_a_folder_without_sums_is_not_called_intact(tmp_path):
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(UserError, match='without checksums'):
        verify(tmp_path)
    with pytest.raises(UserError, match='no such folder'):
        verify(tmp_path / 'nowhere')


def test_main_verifies_without_a_config_and_exits_1_on_damage(run):
    flip(run / 'checkpoints/4/state/d/1')
    done = subprocess.run(
        [sys.executable, '-m', 'emola_jax.main', f'--workdir={run}', '--verify'],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert 'DAMAGED  checkpoints/4/state/d/1: is not what was written' in done.stdout
    assert (
        done.stdout.splitlines()[-1] == f'{run}: 1 of 6 files are damaged; 1 more has no checksum'
    )
    assert done.stderr == ''


def test_a_folder_that_is_no_run_is_not_taken_for_one(tmp_path):
    with pytest.raises(UserError, match='is empty; expected a run, a built data set'):
        verify(tmp_path)
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(UserError, match='holds files without checksums; expected a run'):
        verify(tmp_path)
    (tmp_path / 'config.json').write_text('{}')
    (tmp_path / 'checkpoints').mkdir()
    with pytest.raises(UserError, match='is a run without checksums'):
        verify(tmp_path)
