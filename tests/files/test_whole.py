import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

from emola_jax.errors import UserError
from emola_jax.files import json_lines
from emola_jax.files.whole import (
    atomic_folder,
    atomic_write,
    below,
    drop_torn_line,
    naming,
    read_json,
    read_jsonl,
    write_json,
)


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
from emola_jax.files.whole import atomic_folder
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
    path.rename(tmp_path / '.folder.old.0123.partial')
    with pytest.raises(UserError, match='exists already'):
        fill(path, 'two')
    assert (path / 'deeper' / 'a').read_text() == 'one'


def test_a_writer_that_is_still_at_work_keeps_its_folder(tmp_path):
    path = tmp_path / 'folder'
    program = f"""
import pathlib, sys
from emola_jax.files.whole import atomic_folder
with atomic_folder(pathlib.Path({str(path)!r})) as partial:
    (partial / 'slow').write_text('x')
    print('at work', flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, '-c', program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as slow:
        assert slow.stdout.readline() == 'at work\n'
        fill(path, 'quick')
        shutil.rmtree(path)
        slow.stdin.close()
        assert slow.wait() == 0
    assert (path / 'slow').read_text() == 'x'
    assert [p.name for p in tmp_path.iterdir()] == ['folder']


def test_writers_of_one_file_in_two_containers_of_equal_process_ids_do_not_collide(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(os, 'getpid', lambda: 1)
    path = tmp_path / 'a.json'
    with atomic_write(path) as one, atomic_write(path) as two:
        one.write_text('one')
        two.write_text('two')
    assert path.read_text() == 'one'
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']


def test_the_longest_name_that_a_file_system_takes_is_written(tmp_path):
    path = tmp_path / ('表' * 85)
    write_json(path, 1)
    assert path.read_text() == '1\n'
    fill(tmp_path / 'folder' / ('y' * 255), 'one')


def test_a_fault_of_the_file_system_names_the_file_and_not_its_temporary_name(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(OSError) as caught:
        write_json(tmp_path / 'a', 1)
    assert caught.value.filename == str(tmp_path / 'a')


@pytest.mark.parametrize('text', ['\u2028', '\u2029', '\x85', '\x0b', '\x0c', '\x1c'])
@pytest.mark.parametrize('read', [read_jsonl, json_lines.read])
def test_only_a_line_feed_ends_a_line(read, text, tmp_path):
    path = tmp_path / 'rows.jsonl'
    rows = [{'a': f'one{text}two'}, {'a': 'three'}]
    path.write_text(''.join(json.dumps(r, ensure_ascii=False) + '\n' for r in rows), 'utf-8')
    if text in '\u2028\u2029\x85':
        assert text in path.read_text('utf-8')
    assert read(path) == rows


@pytest.mark.parametrize(
    ('content', 'fault'),
    [
        (b'{"a": 1}\n{"a": \n', 'line 2: not JSON'),
        (b'{"a": 1}\n[1]\n', 'line 2: expected a JSON object'),
        (b'{"a": "\xff"}\n', 'line 1: not UTF-8 at byte 7'),
        (b'[' * 100_000 + b'\n', 'not JSON that can be read'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'Git LFS pointer'),
    ],
)
def test_damaged_rows_are_named(content, fault, tmp_path):
    path = tmp_path / 'rows.jsonl'
    path.write_bytes(content)
    with pytest.raises(UserError, match=fault):
        json_lines.read(path)
    if b'LFS' not in fault.encode():
        with pytest.raises(UserError, match=fault):
            read_jsonl(path)


@pytest.mark.parametrize(
    ('content', 'fault'),
    [
        (b'', 'not JSON'),
        (b'[]', 'expected a JSON object, found list'),
        (b'null', 'expected a JSON object, found NoneType'),
        (b'\xff', 'not UTF-8 at byte 0'),
        (b'version https://git-lfs.github.com/spec/v1\noid', 'git lfs pull'),
    ],
)
def test_a_json_file_of_something_else_is_named(content, fault, tmp_path):
    path = tmp_path / 'a.json'
    with pytest.raises(UserError, match=r'a\.json: no such file'):
        read_json(path)
    path.write_bytes(content)
    with pytest.raises(UserError, match=fault):
        read_json(path)
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {'a': 1}


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


@pytest.mark.parametrize('name', ['/etc/passwd', '../x', 'a/../../x', 'link/x', 'a\0'])
def test_a_name_of_data_does_not_lead_out_of_its_folder(tmp_path, name):
    root = tmp_path / 'root'
    root.mkdir()
    (root / 'link').symlink_to('..')
    with pytest.raises(UserError, match='leads out of'):
        below(root, name)
    assert below(root, 'a/../b.png') == root / 'a/../b.png'


def test_what_a_killed_writer_of_a_file_left_is_removed_and_a_living_one_goes_on(tmp_path):
    program = """
import os, pathlib, signal, sys
from emola_jax.files.whole import atomic_write
with atomic_write(pathlib.Path(sys.argv[1])) as partial:
    partial.write_text('x')
    print('at work', flush=True)
    sys.stdin.read()
"""

    def writer(name):
        return subprocess.Popen(
            [sys.executable, '-c', program, tmp_path / name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with writer('dead') as dead, writer('slow') as slow:
        assert dead.stdout.readline() == slow.stdout.readline() == 'at work\n'
        dead.kill()
        dead.wait()
        assert sorted(p.name.split('.')[1] for p in tmp_path.iterdir()) == ['dead', 'slow']
        write_json(tmp_path / 'other.json', 1)
        assert sorted(p.name.strip('.').split('.')[0] for p in tmp_path.iterdir()) == [
            'other',
            'slow',
        ]
        slow.stdin.close()
        assert slow.wait() == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ['other.json', 'slow']
    assert (tmp_path / 'slow').read_text() == 'x'


def test_a_file_system_without_locks_is_written_and_nothing_is_removed_there(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, 'Operation not supported')

    left = tmp_path / f'.a.json.file.{"0" * 16}.partial'
    left.write_text('half')
    monkeypatch.setattr('fcntl.flock', none)
    write_json(tmp_path / 'b.json', 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [left.name, 'b.json']


def full(path):
    """What writing `path` ends with on a full disk, by way of several libraries."""
    library = f'I/O error: {os.strerror(errno.ENOSPC)} (os error {errno.ENOSPC})'
    yield OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # write(2) of an open file
    yield OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    yield OSError('262144 requested and 1024 written')  # numpy
    yield ValueError(library)  # safetensors


def test_a_full_disk_is_told_with_the_name_of_the_file_whatever_library_finds_it(tmp_path):
    for fault in [atomic_write, atomic_folder, naming]:
        for error in full('partial'):
            path = tmp_path / 'scores.json'
            with pytest.raises(OSError) as caught, fault(path) as partial:
                if getattr(error, 'filename', None):
                    error.filename = str(partial) if partial else None
                raise error
            assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert list(tmp_path.iterdir()) == []


def test_a_real_full_disk_names_the_file_and_the_old_one_stays(tmp_path):
    path = tmp_path / 'rows.json'
    write_json(path, 1)
    program = f"""
import resource, signal, pathlib
from emola_jax.cli import command
from emola_jax.files import whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with command.exits_with_a_sentence('tool'):
    whole.write_json(pathlib.Path({str(path)!r}), ['x' * 100] * 1000)
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f'tool: {path}: file too large')
    assert path.read_text() == '1\n'
    assert [p.name for p in tmp_path.iterdir()] == ['rows.json']
