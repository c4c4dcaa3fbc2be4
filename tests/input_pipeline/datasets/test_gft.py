import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets import build
from input_pipeline.datasets.gft import Gft
from tests.input_pipeline.datasets import trees

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 23, 24)


def table(rows, name='AU{:02d}'):
    """A frame-level table; rows are (frame, AU -> code), 0 where it isn't given."""
    lines = [','.join(['Frame', *(name.format(au) for au in AUS)])]
    lines += [
        ','.join([str(frame), *(str(codes.get(au, 0)) for au in AUS)]) for frame, codes in rows
    ]
    return '\ufeff' + '\r\n'.join(lines) + '\r\n'


@pytest.fixture
def root(tmp_path):
    raw = tmp_path / 'raw'
    trees.put(raw / 'GFT/train.txt', '001A\n001B\n')
    trees.put(raw / 'GFT/test.txt', '032C\n')
    rows = [(1, {6: 1, 12: 1, 7: 1}), (2, {12: -99}), (3, {17: 9})]
    trees.put(raw / 'GFT/AU_Occurrence/001A.csv', table(rows))
    trees.put(raw / 'GFT/AU_Occurrence/001B.csv', table([(5, {24: 1})], name='AU {}'))
    trees.put(raw / 'GFT/AU_Occurrence/032C.csv', table([(9, {})], name='{}'))
    for name in ('001A/1', '001A/2', '001A/3', '001B/5', '032C/9'):
        trees.picture(raw / f'GFT/frames/{name}.jpg')
    return raw


def test_frames_of_the_owners_two_splits(root):
    built = trees.build(Gft, root, 'au')
    assert {split: trees.labels(records) for split, records in trees.read(built).items()} == {
        'train': [
            ('001A/1', 'au', -1, (6, 7, 12)),
            ('001A/3', 'au', -1, ()),
            ('001B/5', 'au', -1, (24,)),
        ],
        'test': [('032C/9', 'au', -1, ())],
    }
    assert build.describe(built)['dropped'] == {'an action unit not coded': 1}
    assert build.describe(built)['splits']['train']['subjects'] == ['001A', '001B']


def test_a_participant_in_both_lists_stops_the_build_even_if_bad_records_are_dropped(root):
    trees.put(root / 'GFT/test.txt', '032C\n001B\n')
    with pytest.raises(UserError) as error:
        trees.build(Gft, root, 'au', drop=True)
    assert "subject '001B' is in the splits test, train, expected one" in str(error.value)
    assert "record '001B/5': this id occurs 2 times" in str(error.value)


def test_a_table_without_a_scored_action_unit_and_a_code_that_is_none(root):
    trees.put(root / 'GFT/AU_Occurrence/001A.csv', 'frame,AU1\n1,0\n')
    trees.put(root / 'GFT/AU_Occurrence/001B.csv', table([(5, {24: 3})]))
    with pytest.raises(UserError) as error:
        trees.build(Gft, root, 'au')
    assert '001A.csv: the header lacks a column for AU2, AU4, AU6' in str(error.value)
    assert "001B.csv, line 2: AU24 = '3'; expected 0 (absent)" in str(error.value)


def test_what_is_missing_and_where_it_comes_from(tmp_path):
    with pytest.raises(UserError) as error:
        trees.build(Gft, tmp_path, 'au')
    for part in ('GFT/train.txt', 'GFT/test.txt', 'AU_Occurrence/*.csv', 'GFT/videos', 'osf.io'):
        assert part in str(error.value)


def test_what_programs_leave_in_folders_is_passed_over(root):
    trees.check_litter(Gft, root, 'au')
