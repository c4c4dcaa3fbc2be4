import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emola_jax.cli.landmarks import main
from emola_jax.errors import UserError
from emola_jax.experts import listing, registry
from emola_jax.reporting import landmark_audit
from input_pipeline.landmarks import FLIP_INDEX
from tests.experts import faces


@pytest.fixture
def folder(tmp_path):
    """A small data set of the released layout: four faces, a blank picture and a broken one."""
    images = tmp_path / 'data' / 'eval' / 'images' / 'a'
    images.mkdir(parents=True)
    for number, picture in enumerate(faces.rendered()[0][:4]):
        Image.fromarray(picture).save(images / f'f{number}.png')
    Image.new('RGB', (80, 50)).save(images / 'blank.png')
    (images / 'broken.jpg').write_bytes(b'no picture')
    return tmp_path / 'data' / 'eval'


@pytest.fixture(autouse=True)
def same_finder(monkeypatch, finder):
    """Its nets are compiled once for all tests."""
    monkeypatch.setattr(registry.FaceFinder, 'load', lambda **_: finder)


def test_a_folder_is_extracted_once(folder, capsys):
    main([str(folder / 'images')])
    written = sorted((folder / 'landmarks' / 'a').glob('*.npy'))
    assert [path.name for path in written] == ['f0.npy', 'f1.npy', 'f2.npy', 'f3.npy']
    for path, exact in zip(written, faces.rendered()[1], strict=False):
        landmarks = np.load(path)
        assert landmarks.shape == (212,) and landmarks.dtype == np.float32
        assert landmark_audit.distance(landmarks, exact) < 0.08
    shown = capsys.readouterr().out
    assert '4 landmark files written, 0 kept' in shown
    with (folder / 'landmarks' / 'a' / 'landmark_failures.csv').open() as file:
        reasons = {row['image'].rsplit('/')[-1]: row['reason'] for row in csv.DictReader(file)}
    assert (
        reasons['blank.png'] == 'no face found' and 'no readable picture' in reasons['broken.jpg']
    )

    written[1].write_bytes(b'cut short by a kill')
    stamps = {path: path.stat().st_mtime_ns for path in written}
    main([str(folder / 'images')])
    assert '1 landmark files written, 3 kept' in capsys.readouterr().out
    changed = [path for path in written if path.stat().st_mtime_ns != stamps[path]]
    assert changed == [written[1]]


def test_an_annotation_file_names_pictures_and_landmarks(folder, capsys):
    entries = [
        {'image': f'data/eval/images/a/f{n}.png', 'landmark': f'data/eval/points/f{n}.npy'}
        for n in (0, 1, 0)
    ]
    annotation = folder / 'eval_au_anno.json'
    annotation.write_text(json.dumps(entries))
    main([str(annotation)])
    left = {path.name for path in (folder / 'points').iterdir()} - {'.lock'}
    assert left == {'f0.npy', 'f1.npy'}
    annotation.write_text(json.dumps([{'image': 'x.png'}]))
    with pytest.raises(UserError, match='no entry names a picture and its landmark file'):
        main([str(annotation)])


def test_audit_tells_what_is_wrong(folder, capsys):
    main([str(folder / 'images')])
    stored = folder / 'landmarks' / 'a'
    good = np.load(stored / 'f0.npy')
    np.save(stored / 'f1.npy', np.load(stored / 'f1.npy') * 0.5)
    np.save(stored / 'f2.npy', good[:200])
    np.save(stored / 'f3.npy', np.where(np.arange(212) == 5, np.nan, good))
    np.save(stored / 'blank.npy', good)
    capsys.readouterr()
    main([str(folder / 'images'), '--audit', '--worst=3'])
    with (stored / 'landmark_audit.csv').open() as file:
        rows = {row['image'].rsplit('/')[-1]: row for row in csv.DictReader(file)}
    assert {name: row['status'] for name, row in rows.items()} == {
        'f0.png': 'ok',
        'f1.png': 'elsewhere',
        'f2.png': 'length',
        'f3.png': 'not finite',
        'blank.png': 'no face',
        'broken.jpg': 'missing',
    }
    assert (
        float(rows['f0.png']['distance'])
        < 0.01
        < landmark_audit.SAME_FACE
        < float(rows['f1.png']['distance'])
    )
    page = (stored / 'landmark_audit.html').read_text()
    assert page.count('<figure>') == 2 and page.index('f1.npy') < page.index('f0.npy')
    assert 'data:image/jpeg' in page and 'http' not in page
    assert 'elsewhere' in capsys.readouterr().out


def test_landmarks_over_a_stretched_picture_are_told_apart():
    exact = faces.rendered()[1][0]
    photo = np.zeros((96, 192, 3), np.uint8)  # the face fills the middle half of a wide picture
    padded = (exact.reshape(106, 2) * 0.5).reshape(-1)
    stretched = (padded.reshape(106, 2) * [1, 2]).reshape(-1)
    np.testing.assert_allclose(
        landmark_audit.padded_from_stretched(stretched, photo), padded, atol=1e-6
    )


def test_over_square_is_over_the_padded_picture():
    photo = np.zeros((100, 60, 3), np.uint8)
    points = np.array([[0, 0], [60, 100], [30, 50]] + [[30, 0]] * 103)
    landmarks = registry.over_square(points, photo).reshape(106, 2)
    np.testing.assert_allclose(landmarks[:4], [[-0.6, -1], [0.6, 1], [0, 0], [0, -1]], atol=1e-6)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['absent'], 'no such file or folder'),
        (['.', '--expert=dlib'], "expected 'mesh' or 'onnx=FILE'"),
        (['.', '--expert=onnx=absent.onnx'], 'absent.onnx: cannot be read'),
    ],
)
def test_what_is_asked_wrongly_is_one_line(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        main(arguments)


def test_an_empty_folder_is_one_line(tmp_path):
    with pytest.raises(UserError, match='no pictures in'):
        listing.collect([tmp_path])


def test_both_pictures_of_one_stem_have_their_own_landmarks(tmp_path, capsys):
    picture = faces.rendered()[0][0]
    Image.fromarray(picture).save(tmp_path / 'x.png')
    Image.fromarray(picture[:, ::-1]).save(tmp_path / 'x.jpg', quality=95)
    assert main([str(tmp_path), f'--out={tmp_path / "out"}']) == 0
    exact = faces.rendered()[1][0]
    mirrored = (exact.reshape(106, 2) * [-1, 1])[FLIP_INDEX].reshape(-1)
    found = {path.name: np.load(path) for path in (tmp_path / 'out').glob('*.npy')}
    assert found.keys() == {'x.jpg.npy', 'x.png.npy'}
    for name, own, other in (('x.png', exact, mirrored), ('x.jpg', mirrored, exact)):
        away = landmark_audit.distance(found[f'{name}.npy'], own)
        assert away < 0.08 and away < landmark_audit.distance(found[f'{name}.npy'], other)


def test_what_fails_is_listed_and_the_rest_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture = Image.fromarray(faces.rendered()[0][0])
    names = ['a.png', os.fsdecode(b'caf\xe9.png'), '字' * 80 + '.png', '-x.png', 'line\nbreak.png']
    Path('p').mkdir()
    for name in [*names, 'foreign.png', 'blocked.png']:
        picture.save(Path('p') / name)
    (Path('p') / os.fsdecode(b'bad\xff.png')).write_bytes(b'no picture')
    Path('out/blocked.npy/x').mkdir(parents=True)
    np.save('out/foreign.npy', np.arange(5))
    assert main(['p', 'x' * 300, '--out=out']) == 1
    said = capsys.readouterr().out
    said.encode()
    assert f'{"x" * 300}: no such file or folder' in said
    assert f'{len(names)} landmark files written' in said and '3 pictures without landmarks' in said
    with Path('out/landmark_failures.csv').open(encoding='utf-8') as file:
        reasons = {row['image']: row['reason'] for row in csv.DictReader(file)}
    assert reasons.keys() == {'p/foreign.png', 'p/blocked.png', r'p/bad\xff.png'}
    assert '--overwrite' in reasons['p/foreign.png']
    assert 'cannot be written' in reasons['p/blocked.png']
    assert len(np.load('out/foreign.npy')) == 5
    main(['p', '--out=out', '--audit'])
    assert r'caf\xe9.npy' in Path('out/landmark_audit.csv').read_text(encoding='utf-8')


def test_an_entry_that_leads_astray_is_named_and_nothing_is_written_there(folder, capsys):
    entries = [
        {'image': 'data/eval/images/a/f0.png', 'landmark': str(folder.parents[2] / 'x.npy')},
        {'image': 'data/eval/images/a/f1.png', 'landmark': '../x.npy'},
        {'image': 'data/eval/images/a/f2.png', 'landmark': 'data/eval/points/f2.npy'},
    ]
    (folder / 'anno.json').write_text(json.dumps(entries))
    for argument in ('', f'--out={folder / "out"}'):
        assert main([str(folder / 'anno.json'), *filter(None, [argument])]) == 0
        said = capsys.readouterr().out
        assert 'entry 1: ' in said and 'leads out of' in said and '1 landmark files written' in said
    assert not list(folder.parents[2].glob('x.npy'))


def test_an_output_that_is_a_file_is_one_sentence(folder, tmp_path):
    (tmp_path / 'file').touch()
    for option in ('--out', '--report'):
        with pytest.raises(UserError, match='file: is a file; a folder was expected'):
            main([str(folder), f'{option}={tmp_path / "file"}'])
