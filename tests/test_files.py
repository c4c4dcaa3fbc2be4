import os
import subprocess
import sys

import pytest

from emola_jax.errors import UserError
from emola_jax.files import atomic_folder, atomic_write, drop_torn_line, read_jsonl, write_json


def test_an_error_while_writing_leaves_the_old_file_and_no_trace(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'old': 1})
    with pytest.raises(RuntimeError), atomic_write(path) as partial:
        partial.write_text('half')
        raise RuntimeError
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    path = tmp_path / 'rows.jsonl'
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": 3')
    assert read_jsonl(path) == [{'a': 1}, {'a': 2}]
    assert read_jsonl(tmp_path / 'none.jsonl') == []


def fill(path, text, **options):
    with atomic_folder(path, **options) as partial:
        (partial / 'deeper').mkdir()
        (partial / 'deeper' / 'a').write_text(text)


def test_a_folder_appears_whole_and_is_replaced_only_on_request(tmp_path):
    path = tmp_path / 'new' / 'folder'
    fill(path, 'one')
    with pytest.raises(UserError, match='exists already'):
        fill(path, 'two')
    assert (path / 'deeper' / 'a').read_text() == 'one'
    fill(path, 'two', overwrite=True)
    assert (path / 'deeper' / 'a').read_text() == 'two'
    assert [p.name for p in path.parent.iterdir()] == ['folder']


def test_an_error_while_filling_a_folder_leaves_the_old_one_and_no_trace(tmp_path):
    path = tmp_path / 'folder'
    fill(path, 'one')
    with pytest.raises(RuntimeError), atomic_folder(path, overwrite=True) as partial:
        (partial / 'b').write_text('half')
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ['folder']
    assert (path / 'deeper' / 'a').read_text() == 'one'


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / 'folder'
    program = f"""
import os, signal, pathlib
from emola_jax.files import atomic_folder
with atomic_folder(pathlib.Path({str(path)!r})) as partial:
    (partial / 'half').write_text('x')
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, '-c', program], check=False)
    assert [p.name.startswith('.folder.new.') for p in tmp_path.iterdir()] == [True]
    fill(path, 'one')
    assert [p.name for p in tmp_path.iterdir()] == ['folder']


def test_a_kill_between_the_two_renames_of_an_overwrite_loses_nothing(tmp_path):
    path = tmp_path / 'folder'
    fill(path, 'one')
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    path.rename(tmp_path / f'.folder.old.{gone.pid}.partial')
    with pytest.raises(UserError, match='exists already'):
        fill(path, 'two')
    assert (path / 'deeper' / 'a').read_text() == 'one'
    # A writer that is still at work keeps its folder.
    (tmp_path / f'.folder.new.{os.getppid()}.partial').mkdir()
    fill(path, 'two', overwrite=True)
    assert (tmp_path / f'.folder.new.{os.getppid()}.partial').exists()


@pytest.mark.parametrize(
    ('content', 'kept'),
    [(b'', b''), (b'{"a"', b''), (b'1\n2\n', b'1\n2\n'), (b'1\n{"t": "\xc3', b'1\n')],
)
def test_only_whole_lines_are_kept(content, kept, tmp_path):
    path = tmp_path / 'rows.jsonl'
    path.write_bytes(content)
    drop_torn_line(path)
    assert path.read_bytes() == kept
    drop_torn_line(tmp_path / 'none')
    assert not (tmp_path / 'none').exists()
