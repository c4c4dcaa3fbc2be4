import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.files.names import LONGEST_STEM, file_stem, folded, path_text, readable, text_path

BYTES = st.binary(min_size=1, max_size=400).filter(lambda b: b'\0' not in b)


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('Zoë 字.jpg', 'Zoë 字.jpg'),
        (os.fsdecode(b'a\xff.jpg'), r'a\xff.jpg'),
        ('a\nb\t\x1b[31m.jpg', r'a\nb\t\x1b[31m.jpg'),
        ('a\u2028\x85\u202egpj.jpg', r'a\u2028\x85\u202egpj.jpg'),
        ('\ud800', r'\ud800'),
    ],
)
def test_a_name_is_one_line_of_valid_text(name, shown):
    assert readable(name) == shown


@settings(max_examples=300, deadline=None)
@given(BYTES)
def test_any_name_is_readable_and_found_again(name):
    path = Path('/') / os.fsdecode(name)
    text = path_text(path)
    assert text_path(text) == path
    for shown in (text, readable(path)):
        assert shown.encode().decode() == shown
        assert len(shown.splitlines()) == 1


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=300), BYTES.map(os.fsdecode)), max_size=6))
def test_stems_are_short_unique_and_plain(names):
    taken = set()
    for name in names:
        stem = file_stem(name, f'key of {readable(name)}', taken)
        assert len(stem.encode()) <= LONGEST_STEM
        assert folded(stem) not in taken
        assert not set(stem) & set('/\\:*?"<>|\0\n') and stem[0] not in '.-'
        taken.add(folded(stem))


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('a/x.jpg', 'a__x.jpg'),
        ('talk.mp4', 'TALK.MP4'),
        ('me.jpg', '/me.jpg'),
        ('é.jpg', 'e\u0301.jpg'),
        ('x' * 300 + '1.jpg', 'x' * 301 + '1.jpg'),
        (os.fsdecode(b'\xff.jpg'), os.fsdecode(b'\xfe.jpg')),
    ],
)
def test_two_names_have_two_stems_and_keep_them(one, other):
    first = file_stem(one, '1', set())
    second = file_stem(other, '2', {folded(first)})
    assert folded(first) != folded(second)
    assert second == file_stem(other, '2', {folded(first)})


def test_a_plain_name_stays_as_it_is():
    assert file_stem('photos/me 2.jpg', 'k', set()) == 'photos__me 2.jpg'
    assert file_stem('../a..b.jpg', 'k', set()) == '___a..b.jpg'


def test_a_shortened_name_keeps_its_end():
    stem = file_stem('字' * 80 + '/last.jpg', 'k', set())
    assert '字__last.jpg-' in stem
