"""A finished data set: what a changed bit in it does."""

import json
import random
import shutil

import pytest

from emola_jax.errors import UserError
from emola_jax.files import checksums
from input_pipeline.datasets import build
from input_pipeline.datasets import built as builder
from input_pipeline.datasets.folder import Folder
from tests.files.test_checksums import flip
from tests.input_pipeline.datasets import trees


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """Four photos to train on and one to evaluate, built."""
    root = tmp_path_factory.mktemp('photos')
    for number in range(5):
        trees.picture(root / f'{number}.jpg', 40 * number)
    splits = ['train'] * 4 + ['eval']
    lines = [f'{number}.jpg,anger,{split}' for number, split in enumerate(splits)]
    trees.put(root / 'labels.csv', '\n'.join(['file,emotion,split', *lines]))
    return trees.build(Folder, root, 'emotion')


@pytest.fixture
def built(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / 'built')


def everything(built):
    told = build.describe(built)
    sources = [builder.load(built, split) for split in ('train', 'eval')]
    return told, [[repr(vars(source[i])) for i in range(len(source))] for source in sources]


def test_its_checksums_came_with_its_name(finished):
    assert checksums.read(finished).keys() == set(checksums.names_below(finished))
    assert len(checksums.read(finished)) == 5  # three of metadata, two shards
    assert checksums.check(finished)


def test_a_flipped_bit_is_told_by_file_or_changes_nothing(built):
    whole = everything(built)
    rng = random.Random(0)
    told = 0
    for path in sorted(built.iterdir()):
        content = path.read_bytes()
        for _ in range(8):
            flip(path, rng.randrange(8 * len(content)))
            try:
                assert everything(built) == whole
            except UserError as error:
                assert path.name in str(error)
                assert 'so that the data set is built again' in str(error)
                told += 1
            path.write_bytes(content)
    assert told > 8 * 4  # all of the metadata and of SHA256SUMS, and some of the shards


def test_a_flip_in_the_bytes_of_a_record_names_the_shard(built):
    shard = next(built.glob('*train*'))
    start = shard.read_bytes().index(b'JFIF')
    flip(shard, 8 * (start + 40))
    source = builder.load(built, 'train')
    with pytest.raises(UserError, match=rf'{shard.name}: is damaged .*remove its folder'):
        [source[index] for index in range(len(source))]


def test_a_missing_file_is_named(built):
    shard = next(built.glob('*eval*'))
    shard.unlink()
    with pytest.raises(UserError, match=rf'{shard.name}: is damaged'):
        builder.load(built, 'eval')[0]
    (built / 'features.json').unlink()
    with pytest.raises(UserError, match=r'is damaged: features.json is missing'):
        builder.load(built, 'train')


def test_one_of_an_older_version_is_read_and_said_to_be_unchecked(built, capsys):
    whole = everything(built)
    assert capsys.readouterr().err == ''
    (built / checksums.SUMS_FILE).unlink()
    assert everything(built) == whole
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f'{built}: its metadata are not checked, since an older version wrote it without SHA256SUMS'
    ]
    info = json.loads((built / 'dataset_info.json').read_text())
    (built / 'dataset_info.json').write_text(json.dumps(info | {'splits': 'none'}))
    with pytest.raises(UserError, match=r'built: its metadata cannot be read'):
        builder.load(built, 'train')
