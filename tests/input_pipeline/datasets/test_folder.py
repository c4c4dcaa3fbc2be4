import json

import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets import build
from input_pipeline.datasets.folder import Folder
from tests.input_pipeline.datasets import trees

TABLE = """\
\ufeffImage;Emotion;AUs;Emotion_Description;Landmarks;Split;Subject
one.jpg;Happiness;AU6 AU12;She beams.;;train;ann
in/two.png;4;none;;points/two.npy;train;bob
three.jpg;;4, 9;;;eval;cy
"""


@pytest.fixture
def root(tmp_path):
    raw = tmp_path / 'photos'
    trees.put(raw / 'labels.csv', TABLE.replace('\n', '\r\n'))
    for name in ('one.jpg', 'in/two.png', 'three.jpg'):
        trees.picture(raw / name)
    trees.landmarks(raw / 'points/two.npy')
    trees.landmarks(raw / 'landmarks/three.npy', trees.POINTS / 2)
    return raw


def test_a_table_with_semicolons_and_capital_columns(root):
    made = trees.read(trees.build(Folder, root, 'mix'))
    assert {split: trees.labels(records) for split, records in made.items()} == {
        'train': [
            ('one/emotion', 'emotion', 0, (6, 12)),
            ('one/au', 'au', 0, (6, 12)),
            ('in/two/emotion', 'emotion', 4, ()),
            ('in/two/au', 'au', 4, ()),
        ],
        'eval': [('three', 'au', -1, (4, 9))],
    }
    answers = [record.response for record in made['train']]
    assert answers[0] == 'She beams.'
    assert answers[2:] == [
        'The emotion of this face is neutral.',
        'No action units are active in this face.',
    ]
    assert np.isnan(made['train'][0].landmarks).all()
    np.testing.assert_array_equal(made['train'][2].landmarks, trees.POINTS)
    np.testing.assert_array_equal(made['eval'][0].landmarks, trees.POINTS / 2)


def test_json_lines_of_one_task(root):
    (root / 'labels.csv').unlink()
    rows = [
        {'File': 'one.jpg', 'AUs': [4, 9], 'Description': 'A frown.', 'Instruction': 'Which?'},
        {'file': 'three.jpg', 'aus': [], 'emotion': 'fear', 'split': 'train', 'id': 'x'},
        {'file': 'in/two.png', 'task': 'au', 'description': 'Still.', 'split': 'eval'},
    ]
    trees.put(root / 'labels.jsonl', '\n'.join(map(json.dumps, rows)))
    made = trees.read(trees.build(Folder, root, 'au'))
    records = {record.id: record for of_split in made.values() for record in of_split}
    assert records.keys() == {'one', 'x/au', 'in/two'}
    assert (records['one'].instruction, records['one'].response) == ('Which?', 'A frown.')
    assert (records['one'].aus, records['x/au'].aus) == ((4, 9), ())
    assert records['in/two'].response == 'Still.'


def test_photos_of_a_person_are_drawn_into_one_split(root):
    rows = ['file,emotion,subject']
    for person in range(30):
        for number in range(3):
            trees.picture(root / f'{person}-{number}.jpg')
            rows.append(f'{person}-{number}.jpg,anger,person {person}')
    trees.put(root / 'labels.csv', '\n'.join(rows))
    made = trees.read(trees.build(Folder, root, 'emotion'))
    assert {len(made[split]) % 3 for split in ('train', 'eval')} == {0}
    assert 0 < len(made['eval']) < len(made['train'])


def test_values_that_are_none_are_all_listed(root):
    rows = [
        'file,emotion,aus,split,description,task',
        'one.jpg,joyful,,,,',
        'three.jpg,,AU99,,,',
        'three.jpg,,twelve,,,',
        'one.jpg,fear,4,,Both.,',
        'one.jpg,,,,,',
        'one.jpg,fear,,Train set,,',
        ',fear,,,,',
        'one.jpg,fear',
    ]
    trees.put(root / 'labels.csv', '\n'.join(rows))
    with pytest.raises(UserError) as error:
        trees.build(Folder, root, 'mix')
    for part in (
        "line 2: the emotion is 'joyful', expected 0..6 or one of happiness",
        'line 3: aus has [99]',
        "line 4: aus is 'twelve', expected FACS numbers such as '4, 9', or 'none'",
        'line 5: has both labels and one description',
        'line 6: has no label',
        "line 7: the split is 'Train set'",
        'line 8: names no file',
        'line 9: has 2 cells and the header 6',
    ):
        assert part in str(error.value)


def test_a_table_without_labels_or_two_tables(root):
    trees.put(root / 'labels.csv', 'name,age\na,3\n')
    with pytest.raises(UserError, match=r"expected a column 'file' .* found name, age"):
        trees.build(Folder, root, 'mix')
    trees.put(root / 'labels.jsonl', '{}')
    with pytest.raises(UserError, match=r'has labels\.csv, labels\.jsonl; say which'):
        trees.build(Folder, root, 'mix')


def test_what_programs_leave_in_folders_is_passed_over(root):
    trees.check_litter(Folder, root, 'mix')


def labelled(root, *rows, header='file,emotion,description'):
    return trees.put(root / 'labels.csv', '\n'.join([header, *rows]))


def only(root, **options):
    made = trees.read(trees.build(Folder, root, 'emotion', **options))
    return [record for of_split in made.values() for record in of_split]


@pytest.mark.parametrize(
    ('cell', 'response'),
    [
        ('"AU4 is seen.\nIt lowers\nthe brow."', 'AU4 is seen.\nIt lowers\nthe brow.'),
        ('"AU4 is seen.\r\nIt lowers the brow."', 'AU4 is seen.\nIt lowers the brow.'),
        ('"The boys\'"', "The boys'"),
        ("'The boys'", "'The boys'"),
        ("'Tis a smile", "'Tis a smile"),
        ('"She said ""no"", twice."', 'She said "no", twice.'),
        ('She said "no" twice.', 'She said "no" twice.'),
    ],
)
def test_texts_are_stored_as_the_csv_module_reads_them(root, cell, response):
    labelled(root, f'one.jpg,fear,{cell}', 'three.jpg,anger,x')
    texts = {record.id: record.response for record in only(root)}
    assert texts == {'one': response, 'three': 'x'}


def test_rows_that_do_not_fit_say_how_many_cells_they_have(root):
    labelled(
        root,
        'one.jpg, happiness, "She smiles, broadly."',
        'three.jpg,fear,She smiles, broadly, twice.',
        header='file, emotion, description',
    )
    with pytest.raises(UserError) as error:
        trees.build(Folder, root, 'mix')
    assert 'labels.csv, line 2: has 4 cells and the header 3' in str(error.value)
    assert 'labels.csv, line 3: has 5 cells and the header 3' in str(error.value)


def test_the_line_of_a_bad_row_counts_line_breaks_in_cells(root):
    labelled(root, 'one.jpg,fear,"a\nb\nc"', '', 'three.jpg,joyful,x')
    with pytest.raises(UserError, match=r"line 6: the emotion is 'joyful'"):
        trees.build(Folder, root, 'mix')


def test_excels_first_line_names_the_separator(root):
    trees.put(root / 'labels.csv', 'sep=;\r\nfile;emotion\r\none.jpg;happiness\r\n')
    assert [record.emotion for record in only(root)] == [0]


def test_files_may_be_named_in_any_way_that_means_one(root, monkeypatch):
    monkeypatch.setenv('HOME', str(root.parent / 'home'))
    trees.picture(root.parent / 'home/p.jpg', 50)
    trees.picture(root.parent / 'else/q.jpg', 60)
    trees.picture(root / 'in/M\u00fcller.JPG', 70)
    trees.picture(root / '~r.jpg', 80)
    rows = {
        'one.jpg': 'one.jpg',
        'in\\two.png': 'in/two.png',
        str(root / 'three.jpg'): 'three.jpg',
        '~/p.jpg': '../home/p.jpg',
        '~r.jpg': '~r.jpg',
        '../else/q.jpg': '../else/q.jpg',
        'IN/mu\u0308ller.jpg': 'in/M\u00fcller.JPG',
    }
    labelled(root, *(f'{name},fear,' for name in rows))
    assert [record.image for record in only(root)] != []
    found = sorted(record.image for record in only(root))
    assert found == sorted((root / name).read_bytes() for name in rows.values())


NO_FILES = {
    '.': "the file is '.', a folder",
    '..': "the file is '..', a folder",
    'in': "the file is 'in', a folder",
    '/': "the file is '/', a folder",
    'a\0b.jpg': "the file is 'a\\x00b.jpg', expected the name of a file",
    'https://host/a.jpg': "the file is 'https://host/a.jpg', a URL; download it",
    'C:\\photos\\a.jpg': "a path of Windows; name the file below the set's folder",
    'x' * 300 + '.jpg': 'which cannot be a file (File name too long)',
    '/none/a.jpg': "the picture /none/a.jpg doesn't exist",
    'ONE.png': "ONE.png doesn't exist",
}


@pytest.mark.parametrize('name', NO_FILES)
def test_a_name_that_is_no_file_is_one_line_and_the_others_are_read(root, name):
    labelled(root, f'{name},fear,', 'three.jpg,anger,')
    with pytest.raises(UserError) as error:
        trees.build(Folder, root, 'mix')
    assert NO_FILES[name] in str(error.value)
    assert 'folder: 1 problem of 1 kind' in str(error.value)
    assert [record.id for record in only(root, drop=True)] == ['three']


def test_names_that_differ_in_case_alone_are_not_taken_for_each_other(root):
    trees.picture(root / 'a.JPG')
    trees.picture(root / 'A.jpg')
    labelled(root, 'a.jpg,fear,', 'three.jpg,anger,')
    with pytest.raises(UserError, match=r"a\.jpg doesn't exist"):
        trees.build(Folder, root, 'mix')


@pytest.mark.parametrize('name', ['labels.csv', 'one.jpg', 'landmarks/three.npy'])
def test_a_git_lfs_pointer_is_named_as_one(root, name):
    pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'
    trees.put(root / name, pointer)
    with pytest.raises(UserError) as error:
        trees.build(Folder, root, 'mix')
    assert name.split('/')[-1].split('.')[0] in str(error.value)
    assert 'a Git LFS pointer, the file itself was not downloaded: git lfs pull' in str(error.value)


def test_a_row_given_twice_counts_once_and_unread_columns_are_said(root):
    labelled(root, 'one.jpg,fear,', 'one.jpg,fear,', header='file,emotion,expression')
    built = trees.build(Folder, root, 'mix')
    described = build.describe(built)
    assert described['dropped'] == {'the same entry again': 1}
    (note,) = described['notes']
    assert note.endswith('labels.csv: not read: the column(s) expression')


@pytest.mark.parametrize(
    'row',
    [
        '{"file": ["one.jpg"], "emotion": "fear"}',
        '{"file": "one.jpg", "emotion": {"fear": 1}}',
        '{"file": "one.jpg", "emotion": "fear", "description": "\\ud800"}',
        '{"file": "one.jpg", "file": "three.jpg", "emotion": "fear"}',
        '{"file": "one.jpg", "aus": [[4]]}',
        '{"file": "one.jpg", "aus": {"4": 1}}',
        '{"file": "one.jpg", "aus": true}',
        '{"file": "one.jpg", "emotion": NaN}',
        '{"file": null, "emotion": "fear"}',
        '{"file": "one.jpg", "emotion":',
        '["one.jpg", "fear"]',
        '[',
        '[' * 100_000,
        '{"File": "one.jpg", "file": "one.jpg", "emotion": "fear"}',
    ],
)
def test_an_object_of_other_values_is_one_line_and_can_be_dropped(root, row):
    (root / 'labels.csv').unlink()
    good = '{"file": "three.jpg", "emotion": "anger"}'
    trees.put(root / 'labels.jsonl', f'{row}\n{good}\n')
    with pytest.raises(UserError, match=r'labels\.jsonl, line 1: '):
        trees.build(Folder, root, 'mix')
    assert [record.id for record in only(root, drop=True)] == ['three']


@pytest.mark.parametrize('indent', [None, 1])
def test_one_json_list_in_place_of_lines_is_called_so(root, indent):
    (root / 'labels.csv').unlink()
    rows = [{'file': 'one.jpg', 'emotion': 'fear'}, {'file': 'three.jpg', 'emotion': 'anger'}]
    trees.put(root / 'labels.jsonl', json.dumps(rows, indent=indent))
    with pytest.raises(
        UserError, match=r'labels\.jsonl: is one JSON list; expected one JSON object'
    ):
        trees.build(Folder, root, 'mix')
