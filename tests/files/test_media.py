import collections
from pathlib import Path

import pytest

from emola_jax.files import media
from emola_jax.files.media import Kind


@pytest.mark.parametrize(
    'name, kind',
    [
        ('a.JPG', Kind.PICTURE),
        ('a.jfif', Kind.PICTURE),
        ('a.avif', Kind.PICTURE),
        ('a.jp2', Kind.PICTURE),
        ('a.MTS', Kind.VIDEO),
        ('a.wmv', Kind.VIDEO),
        ('a.3gp', Kind.VIDEO),
        ('a.heic', Kind.UNREAD),
        ('a.NEF', Kind.UNREAD),
        ('a.swf', Kind.UNREAD),
        ('a.txt', Kind.OTHER),
        ('a', Kind.OTHER),
        ('._a.jpg', Kind.HIDDEN),
        ('.DS_Store', Kind.HIDDEN),
        ('Thumbs.db', Kind.HIDDEN),
    ],
)
def test_kinds_go_by_the_suffix(name, kind):
    assert media.kind(Path(name)) is kind


def test_no_suffix_is_of_two_kinds():
    assert not media.PICTURES & media.VIDEOS
    assert not (media.PICTURES | media.VIDEOS) & media.UNREAD.keys()
    assert media.UNREAD.keys() >= media.UNREAD_VIDEOS


def test_what_is_left_out_is_counted_pictures_and_videos_first():
    left_out = collections.Counter({'': 1, '.txt': 1, '.heic': 2, '.mp4': 1})
    assert media.left_out_line(left_out) == (
        'left out 5 files: 2 .heic (a picture of a kind that is not read (HEIC); convert it to '
        'JPEG), 1 .mp4 (a video), 1 without a suffix, 1 .txt'
    )


def test_nothing_left_out_is_nothing_to_say():
    assert media.left_out_line(collections.Counter()) == ''


def test_what_a_kind_is_called_that_is_not_read():
    assert media.why_unread('.SWF') == 'a video of a kind that is not read (SWF); convert it to MP4'
    assert 'raw data' in media.why_unread('.dng')
    assert media.why_unread('.jpg') == ''
