import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets import build
from input_pipeline.datasets.emotionet import Emotionet
from tests.input_pipeline.datasets import trees

AUS = (1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26, 43)
HOST = 'http://cbcsnas01.ece.ohio-state.edu/EmotioNet/Images'


def sheet(rows):
    """The manual annotations, with the single quotes that the owners' sheet has."""
    lines = [','.join(["'URL'", *(f"'AU {au}'" for au in AUS), "'AU 51'"])]
    for url, codes in rows:
        lines.append(','.join([f"{url}'", *(str(codes.get(au, 0)) for au in AUS), '999']))
    return '\n'.join(lines) + '\n'


def challenge(rows):
    """A label file of the challenge: two URLs and 60 codes behind tabs."""
    return ''.join(
        '\t'.join([url, 'http://else.org/x.jpg', *(str(codes.get(au, 0)) for au in range(1, 61))])
        + '\n'
        for url, codes in rows
    )


@pytest.fixture
def root(tmp_path):
    raw = tmp_path / 'raw'
    rows = [
        (f'{HOST}/N_01/N_0000000001_00001.jpg', {12: 1, 25: 1}),
        (f'{HOST}/N_01/N_0000000001_00002.jpg', {4: 999}),
    ]
    trees.put(raw / 'EmotioNet/manual.csv', sheet(rows))
    rows = [(f'{HOST}/N_02/N_0000000002_{n:05d}.jpg', {1: 1, 3: 1, 43: 1}) for n in range(8)]
    trees.put(raw / 'EmotioNet/dataFile_0001.txt', challenge(rows))
    trees.picture(raw / 'EmotioNet/images/N_0000000001_00001.jpg', 1)
    for n in range(8):
        trees.picture(raw / f'EmotioNet/images/N_02/N_0000000002_{n:05d}.jpg', n)
    return raw


def test_both_kinds_of_label_file(root):
    built = trees.build(Emotionet, root, 'au')
    made = trees.read(built)
    records = {record.id: record for of_split in made.values() for record in of_split}
    assert records.keys() == {
        'N_0000000001_00001',
        *(f'N_0000000002_{n:05d}' for n in range(8)),
    }
    assert records['N_0000000001_00001'].aus == (12, 25)
    assert {records[f'N_0000000002_{n:05d}'].aus for n in range(8)} == {(1, 43)}
    picture = root / 'EmotioNet/images/N_02/N_0000000002_00003.jpg'
    assert records['N_0000000002_00003'].image == picture.read_bytes()
    assert build.describe(built)['dropped'] == {'an action unit not annotated': 1}


def test_the_split_of_a_picture_does_not_depend_on_the_others(root):
    def splits():
        made = trees.read(trees.build(Emotionet, root, 'au'))
        return {record.id: split for split, records in made.items() for record in records}

    before = splits()
    assert set(before.values()) == {'train', 'test'}
    (root / 'EmotioNet/manual.csv').unlink()
    assert splits().items() <= before.items()


def test_dead_urls_stop_the_build_or_are_dropped_and_counted(root):
    (root / 'EmotioNet/images/N_02/N_0000000002_00005.jpg').unlink()
    with pytest.raises(UserError, match=r"N_0000000002_00005\.jpg doesn't exist"):
        trees.build(Emotionet, root, 'au')
    told = build.describe(trees.build(Emotionet, root, 'au', drop=True))
    assert told['dropped'] == {'an action unit not annotated': 1, 'missing file': 1}
    assert sum(of_split['records'] for of_split in told['splits'].values()) == 8


def test_faults_are_listed_together(root):
    trees.put(root / 'EmotioNet/other.txt', 'a\tb\tc\n')
    trees.put(
        root / 'EmotioNet/third.csv',
        sheet([(f'{HOST}/x.jpg', {4: 7}), ('no address', {})]),
    )
    with pytest.raises(UserError) as error:
        trees.build(Emotionet, root, 'au')
    for part in (
        'other.txt: expected a header that starts with URL, or 62 columns',
        "third.csv, line 2: AU4 = '7'; expected 0 (absent), 1 (present) or 999",
        'third.csv, line 3: expected the URL of a picture',
    ):
        assert part in str(error.value)


def test_an_excel_sheet_is_to_be_saved_as_csv(tmp_path):
    trees.put(tmp_path / 'EmotioNet/emotionet_facs_24600.xlsx', b'PK')
    with pytest.raises(UserError, match=r'save .*emotionet_facs_24600\.xlsx as CSV'):
        trees.build(Emotionet, tmp_path, 'au')


def test_what_programs_leave_in_folders_is_passed_over(root):
    trees.check_litter(Emotionet, root, 'au')
