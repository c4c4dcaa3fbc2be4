import errno
import fcntl
import os
import shutil
import subprocess
import sys

import pytest

from emola_jax.errors import UserError
from emola_jax.files.locks import one_writer, waiting_turn

HOLDER = """
import pathlib, sys
from emola_jax.files.locks import one_writer
with one_writer(pathlib.Path(sys.argv[1]), 'answers photos'):
    print('holds', flush=True)
    sys.stdin.read()
"""


def test_a_folder_has_one_writer_and_is_free_once_that_is_killed(tmp_path):
    folder = tmp_path / 'run'
    with subprocess.Popen(
        [sys.executable, '-c', HOLDER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == 'holds\n'
        with (
            pytest.raises(UserError, match=f'run: in use by process {holder.pid} on .* answers'),
            one_writer(folder, 'trains'),
        ):
            pass
        holder.kill()
        holder.wait()
    with one_writer(folder, 'trains'):
        pass


def test_one_waits_for_its_turn_and_says_for_whom(tmp_path):
    program = """
import pathlib, sys
from emola_jax.files.locks import waiting_turn
with waiting_turn(pathlib.Path(sys.argv[1]), 'renders faces'):
    print('in', flush=True)
"""
    lock = tmp_path / 'cache' / '.faces.lock'
    with waiting_turn(lock, 'renders faces'):
        waiting = subprocess.Popen(
            [sys.executable, '-c', program, lock],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = waiting.stderr.readline()
        assert f'waiting for process {os.getpid()} on' in said and 'renders faces' in said
        assert waiting.poll() is None
    assert waiting.communicate(timeout=20)[0] == 'in\n'


def test_a_file_system_without_locks_is_said_and_does_not_hang(tmp_path, monkeypatch, capsys):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, 'flock', refuse)
    with one_writer(tmp_path, 'trains'), one_writer(tmp_path, 'trains'):
        pass
    with waiting_turn(tmp_path / '.lock', 'renders faces'):
        pass
    assert 'no locks on this file system (No locks available)' in capsys.readouterr().out


def test_a_folder_has_one_writer_in_two_containers_of_equal_process_ids(tmp_path):
    """In PID namespaces of their own where this machine lets; else only the names are equal."""
    unshare = ['unshare', '--pid', '--fork', '--kill-child']
    works = shutil.which('unshare') and not subprocess.run([*unshare, 'true']).returncode
    container = unshare if works else []
    start = [*container, sys.executable, '-c', HOLDER, str(tmp_path)]
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout.readline() == 'holds\n'
        other = subprocess.run(start, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert other.returncode == 1 and 'in use by process' in other.stderr
        one.stdin.close()
    done = subprocess.run(start, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'holds\n')
