import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets import build
from input_pipeline.datasets.bp4d import PARTS, Bp4d
from input_pipeline.datasets.folds import FOLDS, fold_splits
from tests.input_pipeline.datasets import trees

CODES = 'BP4D/AUCoding/AU_OCC'
FRAMES = 'BP4D/Sequences(2D+3D)'


def table(rows):
    """A file of AU_OCC: the header numbers 100 columns, the first of which is the frame."""
    lines = [','.join(map(str, range(100)))]
    for frame, aus, unknown in rows:
        cells = {**dict.fromkeys(aus, 1), **dict.fromkeys(unknown, 9)}
        lines.append(','.join([str(frame)] + [str(cells.get(au, 0)) for au in range(1, 100)]))
    return '\r\n'.join(lines) + '\r\n'


@pytest.fixture
def root(tmp_path):
    """Three subjects, one of each part; numbers of frames in four digits and in three."""
    raw = tmp_path / 'raw'
    trees.put(raw / CODES / 'F001_T1.csv', table([(2440, [6, 10, 12, 26], []), (2441, [], [99])]))
    trees.put(raw / CODES / 'F003_T8.csv', table([(7, [1, 2, 4], []), (8, [7], [24])]))
    trees.put(raw / CODES / 'M015_T2.csv', table([(99, [14], [])]))
    for shade, name in enumerate(['F001/T1/2440', 'F001/T1/2441', 'F003/T8/007', 'F003/T8/008']):
        trees.picture(raw / FRAMES / f'{name}.jpg', shade)
    trees.picture(raw / FRAMES / 'M015/T2/0099.jpg', 9)
    return raw


def test_frames_with_their_twelve_action_units(root):
    built = trees.build(Bp4d, root, 'au')
    made = trees.read(built)
    assert {part: trees.labels(records) for part, records in made.items()} == {
        'part1': [
            ('F001/T1/2440', 'au', -1, (6, 10, 12)),
            ('F001/T1/2441', 'au', -1, ()),
        ],
        'part2': [('F003/T8/7', 'au', -1, (1, 2, 4))],
        'part3': [('M015/T2/99', 'au', -1, (14,))],
    }
    assert made['part2'][0].image == (root / FRAMES / 'F003/T8/007.jpg').read_bytes()
    assert made['part1'][0].response == (
        'The active action units of this face are:\n\n1. AU6 - Cheek Raiser.\n'
        '2. AU10 - Upper Lip Raiser.\n3. AU12 - Lip Corner Puller.'
    )
    assert made['part1'][1].response == 'No action units are active in this face.'
    assert build.describe(built)['dropped'] == {'an action unit not coded': 1}


def test_cropped_faces_and_landmarks_are_used_where_there_are_some(root):
    for name in ('F001/T1/2440', 'F001/T1/2441', 'F003/T8/7', 'F003/T8/8', 'M015/T2/99'):
        trees.picture(root / 'BP4D/faces' / f'{name}.png', 200)
    trees.landmarks(root / 'BP4D/landmarks/F003/T8/7.npy')
    made = trees.read(trees.build(Bp4d, root, 'au'))
    assert made['part1'][0].image == (root / 'BP4D/faces/F001/T1/2440.png').read_bytes()
    assert list(made['part2'][0].landmarks) == list(trees.POINTS)


def test_every_so_many_th_frame(root):
    made = trees.read(trees.build(Bp4d, root, 'au', frame_step=2))
    assert [record.id for record in made['part1']] == ['F001/T1/2440']


def test_the_parts_share_nobody_and_hold_all_41():
    people = [subject for part in PARTS.values() for subject in part]
    assert len(people) == len(set(people)) == 41
    assert sorted(people) == [f'F{n:03d}' for n in range(1, 24)] + [
        f'M{n:03d}' for n in range(1, 19)
    ]


def test_a_fold_trains_on_what_it_is_not_evaluated_on():
    folds = [fold_splits(fold) for fold in FOLDS]
    assert {evaluated for _, evaluated in folds} == set(PARTS)
    assert folds[0] == ('part2+part3', 'part1')
    for trained, evaluated in folds:
        assert {*trained.split('+'), evaluated} == set(PARTS)


def test_faults_of_several_files_are_listed_together(root):
    trees.put(root / CODES / 'F099_T1.csv', table([]))
    trees.put(root / CODES / 'F002_T1.csv', '0,1,2\n1,0,0\n')
    trees.put(root / CODES / 'F008_T1.csv', table([(1, [], [])]).replace('\n1,0,', '\n1,5,'))
    trees.put(root / CODES / 'F009_T1.csv', table([(3, [12], [])]))
    with pytest.raises(UserError) as error:
        trees.build(Bp4d, root, 'au')
    for part in (
        '4 problems of 4 kinds',
        'F099_T1.csv: expected SUBJECT_TASK.csv of one of the 41 subjects',
        'F002_T1.csv: the header lacks the column(s) 4, 6, 7',
        "line 2: AU1 = '5'; expected 0 (absent), 1 (present) or 9 (not coded)",
        "record 'F009/T1/3': the picture",
        "F009/T1/3.jpg doesn't exist",
    ):
        assert part in str(error.value)


def test_what_programs_leave_in_folders_is_passed_over(root):
    trees.check_litter(Bp4d, root, 'au')
