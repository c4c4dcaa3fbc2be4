import json

import numpy as np
import pytest

from emola_jax.errors import UserError
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
