import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.predict import listing


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b'x')


def collect(*given, lines=(), without='out'):
    return listing.collect(given, lines, without=Path(without))


def names(listed):
    return [one.name for one in listed.inputs]


def test_paths_of_every_kind_each_file_once(place):
    write('p/b.jpg', 'p/a.png', 'p/deep/c.mp4', 'p/notes.txt', 'q/one.png')
    (place / 'empty').mkdir()
    lines = io.StringIO('q/one.png\n\np/a.png\n')
    listed = collect('p/*.jpg', '-', 'empty', 'nowhere', '*.x', 'p', lines=lines)
    assert names(listed) == ['p/b.jpg', 'q/one.png', 'p/a.png', 'p/deep/c.mp4']
    assert listed.faults == [
        'empty: a folder without photos or videos',
        'nowhere: no such file or folder',
        '*.x: matches no file',
    ]


def test_results_inside_a_folder_are_no_inputs(place):
    write('p/a.jpg', 'p/out/overlays/a.jpg.jpg')
    assert names(collect('p', without='p/out')) == ['p/a.jpg']
    assert names(collect('p/**/*.jpg', without='p/out')) == ['p/a.jpg']
    listed = collect('p', 'p/a.jpg', without='p')
    assert names(listed) == []
    assert listed.faults == [
        f'{name}: is in the folder of the results; give another --out' for name in ('p', 'p/a.jpg')
    ]


def test_a_file_counts_once_whatever_its_names(place):
    write('p/a.jpg', 'p/b.jpg')
    Path('p/link.jpg').symlink_to('a.jpg')
    Path('q').symlink_to('p')
    listed = collect('p/../p/b.jpg', 'p', './p/b.jpg', str(place / 'p/a.jpg'), 'q/a.jpg')
    assert names(listed) == ['p/../p/b.jpg', 'p/a.jpg']
    assert [one.file for one in listed.inputs] == [f'{place.resolve()}/p/{n}.jpg' for n in 'ba']


def test_what_a_folder_leaves_out_is_counted_by_kind(place):
    write('p/a.jpg', 'p/b.heic', 'p/c.HEIC', 'p/notes.txt', 'p/none', 'p/.DS_Store', 'p/._a.jpg')
    write('p/w.wmv', 'p/v.mts', 'p/x.avif', 'p/y.jfif', 'p/z.jp2')
    listed = collect('p')
    read = ['a.jpg', 'v.mts', 'w.wmv', 'x.avif', 'y.jfif', 'z.jp2']
    assert names(listed) == [f'p/{name}' for name in read]
    (note,) = listed.notes
    assert note.startswith('p: left out 4 files: 2 .heic')
    assert '1 .txt' in note and '1 without a suffix' in note and 'DS_Store' not in note


def test_links_to_folders_and_closed_folders_are_said(place):
    write('p/a.jpg', 'q/b.jpg', 'p/closed/c.jpg')
    Path('p/link').symlink_to('../q')
    Path('p/circle').symlink_to('.')
    Path('p/dangling.jpg').symlink_to('nowhere.jpg')
    Path('p/loop.jpg').symlink_to('loop.jpg')
    (place / 'p/closed').chmod(0)
    try:
        listed = collect('p')
    finally:
        (place / 'p/closed').chmod(0o755)
    assert names(listed) == ['p/a.jpg'] + ['p/closed/c.jpg'] * (os.geteuid() == 0)
    assert listed.notes == ['p: links to folders are not followed (2 found); name them too']
    told = {line.split(': ')[0] for line in listed.faults}
    assert {'p/dangling.jpg', 'p/loop.jpg'} <= told


ODD = ['-x.jpg', '[a].jpg', '* ?.jpg', ' lead.jpg', 'a\nb.jpg', '~', 'it\'s "x".jpg', '$(x).jpg']


@pytest.mark.parametrize('name', [*ODD, os.fsdecode(b'caf\xe9.jpg'), '字' * 80 + '.jpg'])
def test_a_name_that_is_there_is_a_file_first(place, name):
    write(name, 'a.jpg')
    listed = collect(name)
    assert [one.path.name for one in listed.inputs] == [name] and listed.faults == []
    assert listed.inputs[0].name.encode()


def test_folders_with_brackets_may_begin_a_glob(place):
    write('trip [2]/a.jpg', 'trip [2]/b.png', 'trip 2/c.jpg')
    assert names(collect('trip [2]/*.jpg')) == ['trip [2]/a.jpg']
    assert names(collect(f'{place}/trip [2]/*.jpg')) == [f'{place}/trip [2]/a.jpg']


@pytest.mark.parametrize(
    'argument', ['x' * 300, 'x/' * 3000, '\0', 'a\0b.jpg', '字' * 100, '~no/x']
)
def test_what_no_file_can_be_called_is_one_line_and_the_rest_is_found(place, argument):
    write('base.jpg')
    listed = collect(argument, 'base.jpg', '-', lines=[f'{argument}\n'])
    assert names(listed) == ['base.jpg']
    assert len(listed.faults) == 2
    for fault in listed.faults:
        assert fault.endswith(': no such file or folder') and len(fault.splitlines()) == 1


def test_home_is_known_unless_something_is_called_so(place, monkeypatch):
    monkeypatch.setenv('HOME', str(place / 'home'))
    write('home/me.jpg')
    (place / 'home/deep').mkdir()
    for argument in ('~/me.jpg', '~/*.jpg', '~'):
        assert names(collect(argument)) == [f'{place}/home/me.jpg']
    write('~/me.jpg')
    assert names(collect('~/me.jpg')) == ['~/me.jpg']


def test_lists_on_stdin_are_of_lines_or_ended_by_nul(place):
    def lines(content):
        return list(listing.stdin_lines(io.BytesIO(content)))

    assert lines(b'a b.jpg\r\n\xff.jpg\n') == ['a b.jpg', os.fsdecode(b'\xff.jpg'), '']
    assert lines(b'a\nb.jpg\0c.jpg\0') == ['a\nb.jpg', 'c.jpg', '']
    assert lines('\ufeffa.jpg'.encode()) == ['a.jpg']
    write('a\nb.jpg', ' c.jpg')
    assert names(collect('-', lines=lines(b'a\nb.jpg\0 c.jpg\0'))) == ['a\\nb.jpg', ' c.jpg']


def test_a_very_deep_folder_is_named_and_the_others_are_read(place):
    write('p/a.jpg')
    os.chdir('p')
    for _ in range(20):  # 5,000 bytes, where a path may have 4,096
        Path('d' * 250).mkdir()
        os.chdir('d' * 250)
    write('deep.jpg')
    os.chdir(place)
    listed = collect('p')
    assert names(listed) == ['p/a.jpg']
    (fault,) = listed.faults
    assert fault.endswith('d: cannot be read (File name too long)') and '\n' not in fault


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=40), st.binary(max_size=40).map(os.fsdecode)), max_size=4)
)
def test_any_argument_is_files_or_a_line(arguments):
    listed = listing.collect([*arguments, __file__], arguments, without=Path('/nowhere'))
    for line in [*listed.faults, *listed.notes, *(one.name for one in listed.inputs)]:
        assert len(line.splitlines()) == 1
        line.encode()
