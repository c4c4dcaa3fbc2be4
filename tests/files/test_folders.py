import os
from pathlib import Path

import pytest

from emola_jax.files import folders
from emola_jax.files.media import Kind


def write(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_is_listed_in_order_and_what_is_left_out_is_counted(tmp_path):
    names = 'b/2.jpg a.png b/1.HEIC c.heic d.txt e.mp4 f ._a.png __MACOSX/a.png .git/x.png'
    write(tmp_path, names.split())
    (tmp_path / 'later').symlink_to(tmp_path / 'b')
    found = folders.walk(tmp_path, {Kind.PICTURE})
    assert found.files == [tmp_path / 'a.png', tmp_path / 'b/2.jpg']
    assert not found.faults
    assert found.notes == [
        f'{tmp_path}: left out 5 files: 2 .heic (a picture of a kind that is not read (HEIC); '
        'convert it to JPEG), 1 .mp4 (a video), 1 without a suffix, 1 .txt',
        f'{tmp_path}: links to folders are not followed (1 found); name them too',
    ]


def test_the_folder_of_results_is_passed_over(tmp_path):
    write(tmp_path, ['a.jpg', 'out/overlays/a.jpg'])
    found = folders.walk(tmp_path, {Kind.PICTURE}, without=tmp_path / 'out')
    assert found.files == [tmp_path / 'a.jpg'] and not found.notes


@pytest.mark.parametrize('text', ['x' * 300, 'a\0b', '/dev/null/x', os.fsdecode(b'\xff'), ''])
def test_any_text_can_be_asked_for(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert not folders.exists(text) and folders.existing(text) is None
    assert folders.existing('~no_such_user_here/x') is None


def test_a_home_is_known_and_a_file_called_so_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    write(tmp_path, ['home/a.jpg'])
    monkeypatch.chdir(tmp_path)
    assert folders.existing('~/a.jpg') == tmp_path / 'home/a.jpg'
    write(tmp_path, ['~/a.jpg'])
    assert folders.existing('~/a.jpg') == Path('~/a.jpg')
