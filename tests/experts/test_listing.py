"""Which landmark file belongs to which picture, and that no path of data leads astray."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.errors import UserError
from emola_jax.experts import listing
from input_pipeline import landmark_files
from input_pipeline.datasets.items import landmark_file


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / 'set').mkdir()
    monkeypatch.chdir(tmp_path / 'set')
    return tmp_path / 'set'


def write(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b'x')


def targets(found):
    return {str(item.image): str(item.landmarks) for item in found.items}


@pytest.mark.parametrize(
    'names',
    [
        ['x.jpg', 'x.png'],
        ['x.jpg', 'X.png'],
        ['x.jpg', 'x.JPG', 'x.jpeg', 'y.jpg'],
        ['x.jpg', 'x.jpg.png'],
        ['x.jpg', 'x.png', 'x.jpg.png', 'x.jpg.png.webp'],
        ['a/x.jpg', 'b/x.png', 'a/y.tif', 'y.gif'],
        ['é.jpg', 'e\u0301.png'],
        ['x' * 248 + '.jpg', 'x' * 248 + '.png'],
        ['字' * 80 + '.jpg', '字' * 80 + '.png'],
        [os.fsdecode(b'\xff.jpg'), os.fsdecode(b'\xff.png')],
    ],
)
def test_every_picture_has_a_landmark_file_of_its_own_that_readers_find(place, names):
    write(*(f'p/{name}' for name in names))
    found = listing.collect(['p'], out=Path('out'))
    assert len(found.items) == len(names) and not found.refused
    files = targets(found).values()
    assert len({landmark_files.folded(name) for name in files}) == len(names)
    for number, item in enumerate(found.items):
        item.landmarks.parent.mkdir(parents=True, exist_ok=True)
        np.save(item.landmarks, np.full(212, number))
    for number, item in enumerate(found.items):
        read = landmark_file(Path('out'), Path('p'), item.image)
        assert np.load(read)[0] == number
        (alone,) = listing.collect([item.image]).items
        assert alone.landmarks.name == item.landmarks.name


def test_a_picture_alone_has_the_name_of_before(place):
    write('images/x.jpg', 'images/notes.txt', 'images/x.txt')
    assert targets(listing.collect(['images'])) == {'images/x.jpg': f'{place}/landmarks/x.npy'}
    assert targets(listing.collect(['images/x.jpg'])) == {'images/x.jpg': 'images/x.npy'}


def test_a_file_that_could_be_of_either_picture_is_never_used(place):
    write('p/x.jpg', 'l/x.npy')
    assert landmark_file(Path('l'), Path('p'), Path('p/x.jpg')) == 'l/x.npy'
    write('p/x.png')
    for name in ('x.jpg', 'x.png'):
        missing = landmark_file(Path('l'), Path('p'), Path('p') / name)
        assert missing == f'l/{name}.npy'  # which the data set then reports
    write('l/x.png.npy')
    assert landmark_file(Path('l'), Path('p'), Path('p/x.png')) == 'l/x.png.npy'
    assert landmark_file(Path('none'), Path('p'), Path('p/x.png')) == ''


def test_two_pictures_that_would_share_a_file_are_told_apart_or_refused(place):
    write('a/x.jpg', 'b/x.jpg', 'b/y.jpg')
    found = listing.collect(['a', 'b', 'b/y.jpg'], out=Path('out'))
    assert targets(found) == {'a/x.jpg': 'out/x.npy', 'b/y.jpg': 'out/y.npy'}
    assert found.refused == [
        (Path('b/x.jpg'), 'its landmark file out/x.npy is that of a/x.jpg; give it another --out')
    ]


def annotate(*entries):
    Path('anno.json').write_text(json.dumps(list(entries)))
    return 'anno.json'


@pytest.mark.parametrize(
    'landmark',
    [
        '/etc/shadow.npy',
        '../outside.npy',
        'a/../../outside.npy',
        'link/outside.npy',
        'a.jpg',
        'anno.json',
        '/etc/.bashrc',
        '',
        None,
        7,
        'a\0.npy',
    ],
)
@pytest.mark.parametrize('out', [None, Path('out')])
def test_no_entry_writes_where_it_should_not(place, landmark, out):
    write('a.jpg', 'b.jpg')
    for folder in (Path(), Path('out')):
        folder.mkdir(exist_ok=True)
        (folder / 'link').symlink_to(place.parent)
    path = annotate(
        {'image': 'a.jpg', 'landmark': landmark}, {'image': 'b.jpg', 'landmark': 'l/b.npy'}
    )
    found = listing.collect([path], out=out)
    assert [item.image.name for item in found.items] == ['b.jpg']
    ((where, reason),) = found.refused
    assert where == Path(path) and reason.startswith('entry 0: ')


@pytest.mark.parametrize('image', ['/etc/private.png', '../private.png', 'link/private.png'])
def test_no_entry_reads_where_it_should_not(place, image):
    write('b.jpg', '../private.png')
    Path('link').symlink_to('..')
    path = annotate(
        {'image': image, 'landmark': 'l/p.npy'}, {'image': 'b.jpg', 'landmark': 'b.npy'}
    )
    found = listing.collect([path])
    assert [item.image.name for item in found.items] == ['b.jpg']
    assert f'{image!r} leads out of' in found.refused[0][1]
    assert listing.collect([path], root=Path('/')).refused == []  # where all files are


ENTRIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(['image', 'landmark', 'x']), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(ENTRIES | st.lists(ENTRIES, max_size=4))
def test_any_annotation_is_items_below_its_root_or_a_message(tmp_path_factory, entries):
    folder = tmp_path_factory.mktemp('fuzz')
    (folder / 'a.jpg').write_bytes(b'x')
    if isinstance(entries, list):
        entries = [*entries, {'image': 'a.jpg', 'landmark': 'a.npy'}]
    (folder / 'anno.json').write_text(json.dumps(entries))
    try:
        found = listing.collect([folder / 'anno.json'])
    except UserError as error:
        assert str(error).encode()
        return
    for item in found.items:
        assert item.landmarks.resolve().is_relative_to(folder.resolve())
        assert item.image.resolve().is_relative_to(folder.resolve())


@pytest.mark.parametrize('content', [b'', b'{', b'null', b'{}', b'[]', b'\xff', b'[' * 100_000])
def test_a_damaged_annotation_is_one_line_and_the_rest_is_found(place, content):
    write('b.jpg')
    Path('anno.json').write_bytes(content)
    found = listing.collect(['anno.json', 'b.jpg', 'nowhere', 'x' * 300, '\0'])
    assert len(found.items) == 1
    assert len(found.faults) == 4 and found.faults[0].startswith('anno.json')
    with pytest.raises(UserError, match=r'^anno\.json'):
        listing.collect(['anno.json'])
