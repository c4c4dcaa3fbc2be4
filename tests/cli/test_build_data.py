import json

import pytest

from emola_jax.cli import build_data
from input_pipeline.datasets import registry
from tests.input_pipeline.datasets import trees


def photos(root):
    rows = ['file,emotion,aus,split,subject', 'a.jpg,fear,4 9,train,x', 'b.jpg,,9,eval,y']
    trees.put(root / 'labels.csv', '\n'.join(rows))
    for name in ('a.jpg', 'b.jpg'):
        trees.picture(root / name)
    trees.landmarks(root / 'landmarks/a.npy')


def run(tmp_path, *arguments):
    root, out = tmp_path / 'photos', tmp_path / 'built'
    return build_data.main(
        ['--dataset=folder', f'--root={root}', f'--out={out}', '--threads=1', *arguments]
    )


def test_a_summary_on_one_screen(tmp_path, capsys):
    photos(tmp_path / 'photos')
    assert run(tmp_path) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for expected in (
        ['train', 'eval'],
        ['records', '2', '1'],
        ['subjects', '1', '1'],
        ['with', 'landmarks', '2', '0'],
        ['fear', '2', '0'],
        ['AU4', 'Brow', 'Lowerer', '2', '0'],
        ['AU9', 'Nose', 'Wrinkler', '2', '1'],
    ):
        assert expected in lines
    assert len(lines) < 25
    assert lines[-1][:2] == ['built', 'in']


def test_problems_are_told_and_dropped_on_demand(tmp_path, capsys):
    photos(tmp_path / 'photos')
    (tmp_path / 'photos/b.jpg').unlink()
    with pytest.raises(SystemExit, match=r"b\.jpg doesn't exist"):
        run(tmp_path)
    assert run(tmp_path, '--drop') == 0
    assert 'left out: 1 missing file' in capsys.readouterr().out


def test_what_to_get_of_every_data_set(capsys):
    assert build_data.main(['--list']) == 0
    printed = capsys.readouterr().out
    assert all(f'--dataset={name}\n' in printed for name in registry.BUILDERS)


def test_a_data_set_that_is_none(tmp_path):
    with pytest.raises(SystemExit, match="data set 'bp5d': expected one of"):
        build_data.main(['--dataset=bp5d', f'--root={tmp_path}'])


def test_names_of_folders_that_are_no_text(tmp_path, capsys):
    folder = tmp_path / 'no\udcfftext'
    photos(folder / 'photos')
    arguments = ['--dataset=folder', f'--root={folder}/photos', f'--out={tmp_path}/built']
    assert build_data.main(arguments) == 0
    trees.put(folder / 'photos/labels.csv', 'file,emotion\na.jpg,fear\nnone.jpg,fear\n')
    with pytest.raises(SystemExit, match=r"none\.jpg doesn't exist"):
        build_data.main(arguments)
    problems = json.loads((tmp_path / 'built/folder-problems.json').read_text())
    assert problems[0]['message'].endswith("no\\udcfftext/photos/none.jpg doesn't exist")
    with pytest.raises(SystemExit, match='writes below names in UTF-8 only'):
        build_data.main([*arguments[:2], f'--out={folder}/built'])


def test_an_output_that_is_a_file_ends_in_a_sentence_before_any_work(tmp_path):
    photos(tmp_path / 'photos')
    trees.put(tmp_path / 'built', 'a file')
    with pytest.raises(SystemExit, match='built: is a file; a folder was expected'):
        run(tmp_path)


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    photos(tmp_path / 'photos')
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert build_data.main(['--dataset=folder', '--root=~/photos', '--out=~/out']) == 0
    assert (tmp_path / 'out/folder').is_dir() and not (tmp_path / '~').exists()
