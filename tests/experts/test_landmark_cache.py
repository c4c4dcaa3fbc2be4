import dataclasses
import pickle

import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.experts import landmark_cache
from tests.fake_finder import FOUND, Finder
from tests.files.test_checksums import flip
from tests.input_pipeline.fakes import png
from tests.tiny_experiment import records

IN_28 = (FOUND / 14 - 1).reshape(-1).astype(np.float32)
"""FOUND over a picture of 28 pixels."""


class Counting:
    """Remembers its pictures; fails at call number `fails_at`."""

    def __init__(self, fails_at=-1):
        self.fails_at, self.calls, self.seen = fails_at, 0, []

    def find(self, photos):
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        self.calls += 1
        self.seen += [photo.tobytes() for photo in photos]
        return Finder().find(photos)


def never():
    raise AssertionError('a cached file was not used')


def test_records_show_what_was_found_in_their_pictures(tmp_path):
    source = records(4)
    source[2] = dataclasses.replace(source[2], image=png((0, 0, 0), 28))
    made = landmark_cache.with_computed(source, Finder, tmp_path, 'set')
    assert len(made) == 4
    for index in (0, 1, 3):
        np.testing.assert_allclose(made[index].landmarks, IN_28, atol=1e-6)
        assert dataclasses.replace(made[index], landmarks=None) == dataclasses.replace(
            source[index], landmarks=None
        )
    np.testing.assert_array_equal(made[2].landmarks, source[2].landmarks)
    assert landmark_cache.given(made) is source
    assert landmark_cache.given(source) is source
    # Reading processes are given a copy.
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(made))[3].landmarks, made[3].landmarks)


def test_they_belong_to_the_picture_padded_to_a_square(tmp_path):
    (record,) = records(1)
    wide = dataclasses.replace(record, image=png((9, 9, 9), (28, 56)))
    (made,) = landmark_cache.with_computed([wide], Finder, tmp_path, 'set')
    np.testing.assert_allclose(made.landmarks, (FOUND / 28 - 1).reshape(-1), atol=1e-6)


def test_a_picture_is_looked_at_once_and_never_again(tmp_path):
    source = [one for one in records(6) for _ in range(2)]
    finder = Counting()
    made = landmark_cache.with_computed(source, lambda: finder, tmp_path, 'set')
    assert len(finder.seen) == len(set(finder.seen)) == 6
    again = landmark_cache.with_computed(source, never, tmp_path, 'set')
    np.testing.assert_array_equal(again.landmarks, made.landmarks)
    other = landmark_cache.with_computed(source, lambda: finder, tmp_path, 'other')
    np.testing.assert_array_equal(other.landmarks, made.landmarks)
    assert len(finder.seen) == 12


@pytest.mark.parametrize('content', [b'', b'no array', np.zeros((3, 212), np.float32)])
def test_a_damaged_file_of_an_older_version_is_named(tmp_path, content):
    landmark_cache.with_computed(records(4), Finder, tmp_path, 'set')
    (path,) = tmp_path.glob('*.npy')
    path.with_name(f'{path.name}.sha256').unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(UserError, match=rf'{path}: .*; remove it'):
        landmark_cache.with_computed(records(4), never, tmp_path, 'set')


@pytest.mark.parametrize('suffix', ['', '.sha256'])
def test_a_file_of_which_a_bit_flipped_is_made_again(tmp_path, suffix, capsys):
    made = landmark_cache.with_computed(records(4), Finder, tmp_path, 'set')
    (path,) = tmp_path.glob('*.npy')
    flip(path.with_name(path.name + suffix), 300)
    again = landmark_cache.with_computed(records(4), Finder, tmp_path, 'set')
    np.testing.assert_array_equal(again.landmarks, made.landmarks)
    assert f'{path}: is not what was written (see {path.name}.sha256)' in capsys.readouterr().err
    landmark_cache.with_computed(records(4), never, tmp_path, 'set')


def test_a_broken_picture_is_named_by_its_record(tmp_path):
    source = records(2)
    source[1] = dataclasses.replace(source[1], image=b'no picture')
    with pytest.raises(UserError, match=source[1].id):
        landmark_cache.with_computed(source, Finder, tmp_path, 'set')


def test_a_killed_search_goes_on_behind_its_last_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(landmark_cache, '_GROUP', 2)
    source = records(7)
    finder = Counting(fails_at=2)
    with pytest.raises(KeyboardInterrupt):
        landmark_cache.with_computed(source, lambda: finder, tmp_path, 'set')
    assert not list(tmp_path.glob('*.npy'))
    finder.fails_at = -1
    landmark_cache.with_computed(source, lambda: finder, tmp_path, 'set')
    assert len(finder.seen) == len(set(finder.seen)) == 7
    names = sorted(path.suffix for path in tmp_path.iterdir() if not path.name.startswith('.'))
    assert names == ['.npy', '.sha256']


def test_records_in_memory_are_told_apart_where_no_face_was_found():
    seen, blind = records(2)
    blind = dataclasses.replace(blind, image=png((0, 0, 0), 28))
    (found, kept), own = landmark_cache.of_records([seen, blind], Finder())
    np.testing.assert_allclose(found.landmarks, IN_28, atol=1e-6)
    np.testing.assert_array_equal(kept.landmarks, blind.landmarks)
    assert own.tolist() == [False, True]
