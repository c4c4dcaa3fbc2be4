"""Checksums of folders and of single files."""

import hashlib
import random
import shutil
import subprocess

import pytest

from emola_jax.experiment import run_checksums
from emola_jax.files import checksums
from emola_jax.files.checksums import SUMS_FILE, Damaged


def flip(path, bit=0):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path):
    names = ('a.txt', 'b/c.bin', 'b/with space', 'back\\slash', 'new\nline', 'ünïcode', '.hidden')
    root = tmp_path / 'folder'
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]) * 100)
    checksums.write(root)
    return root


def test_sums_are_those_of_the_files_and_of_sha256sum(folder):
    sums = checksums.read(folder)
    assert sums['b/c.bin'] == hashlib.sha256(b'\x01' * 100).hexdigest()
    assert sums.keys() == set(checksums.names_below(folder))
    assert len(sums) == 7
    assert checksums.check(folder)
    if shutil.which('sha256sum'):
        command = ['sha256sum', '--check', '--strict', '--quiet', SUMS_FILE]
        assert subprocess.run(command, cwd=folder, check=False).returncode == 0
        flip(folder / 'new\nline')
        assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize('name', ['a.txt', 'b/with space', 'new\nline', '.hidden'])
def test_a_flipped_bit_is_named(folder, name):
    flip(folder / name, 403)
    with pytest.raises(Damaged, match='is not what was written') as caught:
        checksums.check(folder)
    assert f'{folder}: is damaged: {name}' in str(caught.value)
    assert checksums.check(folder, lambda other: other != name)


def test_missing_files_and_folders_in_their_place_are_named(folder):
    (folder / 'a.txt').unlink()
    (folder / 'a.txt').mkdir()
    (folder / 'b/c.bin').unlink()
    with pytest.raises(Damaged, match=r'a.txt is no file any more, and 1 more'):
        checksums.check(folder)


def test_no_flip_of_the_sums_themselves_is_silent(folder):
    whole = (folder / SUMS_FILE).read_bytes()
    rng = random.Random(0)
    for _ in range(300):
        bit = rng.randrange(8 * len(whole))
        flip(folder / SUMS_FILE, bit)
        with pytest.raises(Damaged, match=f'{SUMS_FILE}: is damaged'):
            checksums.check(folder)
        (folder / SUMS_FILE).write_bytes(whole)


def test_without_sums_nothing_is_checked_and_other_peoples_are_not_ours(folder):
    (folder / SUMS_FILE).unlink()
    assert not checksums.check(folder)
    (folder / SUMS_FILE).write_text(f'{"0" * 64}  a.txt\n')
    assert not checksums.check(folder)


def test_a_file_is_checked_by_the_sums_of_the_folder_above(folder):
    for name in ('a.txt', 'b/c.bin'):
        checksums.check_file(folder / name)
        flip(folder / name)
        with pytest.raises(Damaged, match=f'{name}: is not what was written.*restore it'):
            checksums.check_file(folder / name)
    (folder / 'unknown').write_text('x')
    checksums.check_file(folder / 'unknown')


def test_a_sealed_file_is_whole_until_a_bit_of_it_or_its_sum_flips(tmp_path, capsys):
    path = tmp_path / 'cache' / 'x.npy'
    assert not checksums.is_usable(path)
    assert capsys.readouterr().err == ''
    with checksums.sealed_write(path) as partial:
        partial.write_bytes(b'numbers')
    beside = path.with_name('x.npy.sha256')
    assert checksums.is_usable(path)
    for file in (path, beside):
        whole = file.read_bytes()
        for bit in range(8 * len(whole)):
            flip(file, bit)
            assert not checksums.is_whole(path)
            file.write_bytes(whole)
    flip(path)
    assert not checksums.is_usable(path)
    assert (
        'x.npy: is not what was written (see x.npy.sha256), so it is made again'
        in capsys.readouterr().err
    )
    beside.unlink()
    assert checksums.is_usable(path)  # of an older version


def test_a_kill_between_sum_and_file_leaves_nothing_that_passes_for_whole(tmp_path, monkeypatch):
    path = tmp_path / 'x.npy'
    with checksums.sealed_write(path) as partial:
        partial.write_bytes(b'old')

    def killed(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), checksums.sealed_write(path) as partial:
        partial.write_bytes(b'new')
        replace = type(path).replace
        monkeypatch.setattr(
            type(path),
            'replace',
            lambda self, to: killed() if to == path else replace(self, to),
        )
    assert path.read_bytes() == b'old'
    assert not checksums.is_whole(path)


@pytest.fixture
def run(tmp_path):
    for name in ('config.json', 'predictions.jsonl', 'control/predictions.jsonl', 'faces/a.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'{{"name": "{name}"}}\n')
    for name in ('mine.txt', 'checkpoints/4/x', 'answers/host0.jsonl', '.lock', 'ablation/a.json'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('changes')
    with run_checksums.renewed(tmp_path):
        assert not (tmp_path / SUMS_FILE).exists()
        (tmp_path / 'report.html').write_text('<!doctype html>')
    return tmp_path


def test_a_run_sums_up_its_own_files_only(run):
    own = {'config.json', 'predictions.jsonl', 'control/predictions.jsonl', 'faces/a.png'}
    assert checksums.read(run).keys() == own | {'report.html'}


def test_the_next_command_refuses_a_damaged_file_and_sums_up_again(run):
    (run / 'mine.txt').write_text('changed')
    (run / 'report.html').write_text('only written')
    (run / 'faces/a.png').unlink()  # on purpose
    with run_checksums.renewed(run):
        (run / 'predictions.jsonl').write_text('new\n')
    assert checksums.check(run)
    assert 'faces/a.png' not in checksums.read(run)
    flip(run / 'control/predictions.jsonl', 77)
    with (
        pytest.raises(Damaged, match=r'control/predictions.jsonl: is not what .*restore it'),
        run_checksums.renewed(run),
    ):
        raise AssertionError('no work on damaged files')
    assert (run / SUMS_FILE).exists()


def test_a_command_that_fails_leaves_the_sums_of_what_is_there(run):
    with pytest.raises(ZeroDivisionError), run_checksums.renewed(run):
        (run / 'calibration.json').write_text('{}')
        raise ZeroDivisionError
    assert checksums.check(run)
    assert 'calibration.json' in checksums.read(run)
