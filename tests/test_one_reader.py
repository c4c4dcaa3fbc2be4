"""Training, landmarks, prediction, the report and an exported processor see the same picture."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from emola_jax.cli import build_data
from emola_jax.errors import UserError
from emola_jax.experts import extract, pictures
from emola_jax.formats.hf_files import processing_emola
from emola_jax.predict import inputs
from emola_jax.reporting import gallery
from input_pipeline import images
from input_pipeline.datasets import build
from input_pipeline.datasets.folder import Folder
from tests.input_pipeline.datasets import trees
from tests.input_pipeline.test_images import STORED, encoded, left_half_transparent, scene, turned

SHALLOW = np.asarray(Image.fromarray(scene()).convert('L'))
DEEP = SHALLOW.astype(np.uint16) * 100

PICTURES = {
    'turned.jpg': encoded(STORED[6](scene()), 'JPEG', exif=turned(6)),
    'mirrored.webp': encoded(STORED[7](scene()), 'WEBP', exif=turned(7)),
    'lying.tif': encoded(STORED[8](scene()), 'TIFF', exif=turned(8)),
    'deep.png': encoded(DEEP, 'PNG'),
    'fractions.tif': encoded(DEEP.astype(np.float32), 'TIFF'),
    'clear.png': encoded(left_half_transparent('RGBA'), 'PNG'),
    'palette.gif': encoded(left_half_transparent('P'), 'GIF'),
    'odd.jpg': encoded(scene(), 'JPEG', exif=turned(9)),
    'ink.jpg': encoded(Image.fromarray(scene()).convert('CMYK'), 'JPEG'),
}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """The pictures as files, and as records of the data set `folder`."""
    root = tmp_path_factory.mktemp('pictures') / 'photos'
    for name, content in PICTURES.items():
        trees.put(root / name, content)
    rows = [f'{name},fear,train,{name}' for name in PICTURES]
    trees.put(root / 'labels.csv', '\n'.join(['file,emotion,split,id', *rows]))
    out = root.parent / 'built'
    command = ['--dataset=folder', f'--root={root}', f'--out={out}', '--task=emotion']
    assert build_data.main(command) == 0
    (described,) = {path.parent for path in out.rglob('dataset_info.json')}
    return root, {record.id: record for record in trees.read(described)['train']}


@pytest.mark.parametrize('name', PICTURES)
def test_every_command_sees_the_same_picture(built, name):
    root, records = built
    path = root / name
    predicted, size = inputs.read_photo(path)
    assert predicted.shape == (32, 48, 3) and size == (48, 32)
    assert records[name].image == PICTURES[name]  # the stored bytes stay the owner's
    np.testing.assert_array_equal(images.decode(records[name].image, name=name), predicted)
    np.testing.assert_array_equal(pictures.read_picture(path), predicted)
    exported = processing_emola._as_seen(Image.open(path))
    np.testing.assert_array_equal(exported, predicted)
    head, _, shown = gallery.data_uri(path).partition(',')
    assert head.startswith('data:image/')
    # A browser turns a JPEG by its EXIF, so what it is given must be the upright pixels already.
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown))).convert('RGB'), float)
    assert pixels.shape == predicted.shape and np.abs(pixels - predicted).mean() < 5


def test_pixels_are_what_a_person_sees(built):
    root, _ = built
    for name in ('turned.jpg', 'mirrored.webp', 'lying.tif', 'odd.jpg', 'ink.jpg'):
        pixels, _ = inputs.read_photo(root / name)
        assert np.abs(pixels.astype(float) - scene()).mean() < 5, name
    for name in ('deep.png', 'fractions.tif'):
        pixels, _ = inputs.read_photo(root / name)
        assert np.corrcoef(pixels[..., 0].ravel(), SHALLOW.ravel())[0, 1] > 0.999, name
        assert (pixels.min(), pixels.max()) == (0, 255)
    for name in ('clear.png', 'palette.gif'):
        pixels, _ = inputs.read_photo(root / name)
        assert (pixels[:, :22] == 255).all() and (pixels[:, 26:] == (0, 0, 255)).all(), name


DAMAGED = {
    'chunk.png': PICTURES['deep.png'].replace(b'IDAT', b'\xbf?\x92 ', 1),
    'header.png': PICTURES['deep.png'][:8] + b'\0\0\0\3' + PICTURES['deep.png'][12:],
    'cut.jpg': PICTURES['odd.jpg'][:400],
    'cut.avif': encoded(scene(), 'AVIF')[:-60],
    'strip.tif': PICTURES['lying.tif'][:300],
    'vast.png': PICTURES['deep.png'][:16] + b'\0\0\xff\xff\0\0\xff\xff' + PICTURES['deep.png'][24:],
    'long.bmp': encoded(Image.new('1', (40_000, 1)), 'BMP'),
    'pointer.jpg': b'version https://git-lfs.github.com/spec/v1\n',
    'text.jpg': b'404 not found',
}


def test_damaged_pictures_are_dropped_and_counted_by_build_data(tmp_path):
    root = tmp_path / 'photos'
    for name, content in {**DAMAGED, 'good.jpg': PICTURES['odd.jpg']}.items():
        trees.put(root / name, content)
    rows = [f'{path.name},fear,train,{path.name}' for path in sorted(root.iterdir())]
    trees.put(root / 'labels.csv', '\n'.join(['file,emotion,split,id', *rows]))
    with pytest.raises(UserError) as caught:
        trees.build(Folder, root, 'emotion')
    said = str(caught.value)
    assert f'unreadable image ({len(DAMAGED)})' in said
    assert (
        "record 'chunk.png': field image holds no readable picture, expected PNG or JPEG (" in said
    )
    built = trees.build(Folder, root, 'emotion', drop=True)
    assert build.describe(built)['dropped'] == {'unreadable image': len(DAMAGED)}
    records = [record.id for records in trees.read(built).values() for record in records]
    assert records == ['good.jpg']


def test_damaged_pictures_leave_the_others_of_a_batch_alone(tmp_path):
    for name, content in {**DAMAGED, 'good.jpg': PICTURES['odd.jpg']}.items():
        trees.put(tmp_path / name, content)
    paths = sorted(tmp_path.iterdir())
    group = [pictures.Item(path, path.with_suffix('.npy')) for path in paths]
    ((_, photos),) = extract.batches(group, 32)
    for path, photo in zip(paths, photos, strict=True):
        if path.name == 'good.jpg':
            assert photo.shape == (32, 48, 3)
        else:
            assert photo.startswith('no readable picture ('), path
    shots = list(inputs.shots(paths, 5, frozenset()))
    assert [shot.path.name for shot in shots if shot.pixels is not None] == ['good.jpg']
    assert all(str(shot.path) in shot.fault for shot in shots if shot.pixels is None)
