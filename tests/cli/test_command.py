import argparse
import errno
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

from emola_jax.cli import command
from emola_jax.errors import UserError
from emola_jax.files import places


def exit_of(error):
    with pytest.raises(SystemExit) as caught, command.exits_with_a_sentence('tool'):
        raise error
    return caught.value.code


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (UserError('a: is bad'), 'tool: a: is bad'),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), '/d/x'),
            'tool: /d/x: no space left on device; make room, or name another place, and run the '
            'command again',
        ),
        (
            OSError(errno.EROFS, os.strerror(errno.EROFS), '/d/x'),
            'tool: /d/x: read-only file system; name another place',
        ),
        (FileExistsError(errno.EEXIST, 'x', 'd'), 'tool: d: file exists; name another place'),
        (IsADirectoryError(errno.EISDIR, 'x', 'd'), 'tool: d: is a directory; a file was expected'),
        (FileNotFoundError(errno.ENOENT, 'x', 'd'), 'tool: d: no such file or directory'),
    ],
)
def test_a_fault_is_one_sentence(error, sentence):
    assert exit_of(error) == sentence


def test_a_fault_that_a_library_wraps_or_quotes_is_found():
    try:
        try:
            raise OSError(errno.ENOSPC, 'x', '/d/y')
        except OSError as error:
            raise RuntimeError('writer failed') from error
    except RuntimeError as error:
        wrapped = error
    assert exit_of(wrapped).startswith('tool: /d/y: no space left on device; ')
    quoted = ValueError('RESOURCE_EXHAUSTED: Error writing "/d/z": No space left on device')
    assert 'writing "/d/z"' in exit_of(quoted)


@pytest.mark.parametrize('error', [ValueError('x'), KeyError('y'), ConnectionResetError(104, 'z')])
def test_a_fault_of_ours_keeps_its_traceback(error):
    with pytest.raises(type(error)), command.exits_with_a_sentence('tool'):
        raise error


def test_a_name_that_is_no_text_is_printed_with_escapes():
    program = (
        'from emola_jax.cli import command\n'
        "with command.exits_with_a_sentence('tool'):\n"
        "    print('out \\udcff')\n"
        "    raise command.UserError('bad \\udcff')\n"
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        'out \\udcff\n',
        'tool: bad \\udcff\n',
    )


def test_a_path_knows_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert places.path('~/run') == tmp_path / 'run'
    assert places.path('~no-such-user/run') == pathlib.Path('~no-such-user/run')
    assert places.path('a/~') == pathlib.Path('a/~')


def test_where_nothing_can_be_written_is_found_before_any_work(tmp_path):
    (tmp_path / 'file').write_text('x')
    places.check_output_folder(tmp_path / 'new' / 'folder')
    places.check_output_file(tmp_path / 'new' / 'file')
    places.check_output_file(tmp_path / 'file')
    for check in (places.check_output_folder, places.check_output_file):
        with pytest.raises(UserError, match='file: is a file; a folder was expected'):
            check(tmp_path / 'file' / 'below')
        with pytest.raises(UserError, match='file name too long; give it a shorter name'):
            check(tmp_path / ('x' * 300) / 'y')
    with pytest.raises(UserError, match='is a folder; the name of a file was expected'):
        places.check_output_file(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_a_closed_folder_is_found_before_any_work(tmp_path, monkeypatch):
    # Nothing is closed to the user that tests may run as.
    monkeypatch.setattr(os, 'access', lambda place, mode: place != tmp_path)
    with pytest.raises(UserError, match='nothing can be written there; name another place'):
        places.check_output_folder(tmp_path / 'new')


@pytest.mark.parametrize('text', ['', ' '])
def test_an_empty_path_is_no_folder(text):
    with pytest.raises(argparse.ArgumentTypeError, match='is empty; expected a path'):
        places.path(text)
    with pytest.raises(UserError, match='--workdir: is empty; expected a path'):
        places.path_of_flag('--workdir', text)


@pytest.mark.parametrize(
    ('module', 'arguments'),
    [
        ('emola_jax.study.ablation', ['--config=configs/tiny.py', '--workdir=']),
        ('emola_jax.cli.build_data', ['--dataset=folder', '--out=']),
        ('emola_jax.cli.build_data', ['--dataset=folder', '--root=']),
        ('emola_jax.cli.score', ['', '--task=au']),
        ('emola_jax.cli.score', ['a.jsonl', '--task=au', '--out=']),
        ('emola_jax.cli.statistics', ['--json=', '--task=au', '--out=x']),
        ('emola_jax.cli.statistics', ['--dataset=folder', '--out=']),
        ('emola_jax.cli.tables', ['']),
        ('emola_jax.cli.tables', ['run', '--out=']),
        ('emola_jax.cli.convert', ['', '--to=hf', '--out=x']),
        ('emola_jax.cli.convert', ['run', '--to=hf', '--out=']),
        ('emola_jax.cli.convert', ['run', '--to=hf', '--out=x', '--base=']),
        ('emola_jax.cli.landmarks', ['a.jpg', '--out=']),
        ('emola_jax.cli.predict', ['a.jpg', '--checkpoint=']),
        ('emola_jax.cli.predict', ['a.jpg', '--checkpoint=run', '--out=']),
        ('emola_jax.cli.calibrate', ['']),
        ('emola_jax.cli.verify', ['']),
    ],
)
def test_no_command_takes_an_empty_path_for_the_working_folder(
    module, arguments, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        importlib.import_module(module).main(arguments)
    assert caught.value.code == 2
    assert 'is empty; expected a path' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['0', '-1', '1e3', '', 'x', '1000001', '9' * 30, '٣'])
def test_a_number_of_faces_is_neither_none_nor_absurd(text):
    with pytest.raises(argparse.ArgumentTypeError, match='a whole number from 1 to 1,000,000'):
        command.positive(text)


def test_want_of_memory_is_one_sentence():
    hint = '; take smaller batches or sizes, or more devices'
    assert exit_of(MemoryError()) == f'tool: out of memory{hint}'
    said = 'RESOURCE_EXHAUSTED: Out of memory allocating 10560000 bytes.'
    assert exit_of(RuntimeError(said)) == f'tool: out of memory ({said}){hint}'
