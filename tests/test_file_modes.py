"""Who may read files with people's faces is the umask's to say, however they are written."""

import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from emola_jax.experts.pictures import write_landmarks
from emola_jax.files import csv_files
from emola_jax.files.locks import one_writer, waiting_turn
from emola_jax.files.whole import atomic_folder, atomic_write, write_json
from input_pipeline.datasets import build
from input_pipeline.datasets import built as builder
from input_pipeline.datasets.folder import Folder
from input_pipeline.datasets.items import Options
from tests.input_pipeline.datasets import trees


@pytest.fixture(params=[0o077, 0o027, 0o022], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def check_modes(folder: Path, umask: int) -> int:
    """Every file and folder has what the umask leaves of 666 and 777; returns their number."""
    found = list(folder.rglob('*'))
    for path in found:
        whole = 0o777 if path.is_dir() else 0o666
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == whole & ~umask, f'{path}: {mode:o}'
    return len(found)


def test_single_files_and_folders(tmp_path, umask):
    write_json(tmp_path / 'a.json', 1)
    csv_files.write(tmp_path / 'a.csv', ['a'], [['b']])
    write_landmarks(tmp_path / 'deep' / 'a.npy', np.zeros(212))
    with atomic_write(tmp_path / 'a.jpg') as partial:
        Image.new('RGB', (8, 8)).save(partial, 'JPEG')
    with atomic_write(tmp_path / 'a.safetensors') as partial:
        save_file({'a': np.zeros(3)}, partial)
    with atomic_folder(tmp_path / 'model') as folder:
        (folder / 'config.json').write_text('{}')
        save_file({'a': np.zeros(3)}, folder / 'model.safetensors')
    with one_writer(tmp_path / 'run', 'trains'), waiting_turn(tmp_path / '.a.lock', 'waits'):
        pass
    assert check_modes(tmp_path, umask) == 12


def built(tmp_path: Path) -> Path:
    photos = tmp_path / 'photos'
    for shade in range(3):
        trees.picture(photos / f'{shade}.jpg', shade)
    rows = ''.join(f'{shade}.jpg,anger,train\n' for shade in range(3))
    trees.put(photos / 'labels.csv', f'file,emotion,split\n{rows}')
    return build.build(Folder, Options(task='emotion'), root=photos, data_dir=tmp_path / 'tfds')


def test_a_built_data_set_and_no_temporary_folder_is_left(tmp_path, umask, monkeypatch):
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
    root = built(tmp_path)
    assert len(builder.load(root, 'train')) == 3
    assert list(temporary.iterdir()) == []
    assert check_modes(tmp_path / 'tfds', umask) > 5
    names = {path.name for path in (tmp_path / 'tfds').iterdir() if not path.name.startswith('.')}
    assert names == {'folder'}


def test_a_build_that_fails_leaves_no_temporary_folder(tmp_path, monkeypatch):
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))

    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build._KeepsShards, 'write', full)
        with pytest.raises(OSError, match='No space left'):
            built(tmp_path)
    assert list(temporary.iterdir()) == []
    assert not [path for path in (tmp_path / 'tfds').rglob('*incomplete*')]
    assert len(builder.load(built(tmp_path), 'train')) == 3
