import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets.rafdb import Rafdb
from tests.input_pipeline.datasets import trees

LABELS = 'RAF-DB/basic/EmoLabel/list_patition_label.txt'
ALIGNED = 'RAF-DB/basic/Image/aligned'


@pytest.fixture
def root(tmp_path):
    """Seven training and two test pictures, one of each emotion; Windows line ends."""
    names = [f'train_{n:05d}' for n in range(1, 8)] + ['test_0001', 'test_0002']
    codes = [1, 2, 3, 4, 5, 6, 7, 4, 7]
    lines = (f'{name}.jpg {code}' for name, code in zip(names, codes, strict=True))
    trees.put(tmp_path / 'raw' / LABELS, '\r\n'.join(lines) + '\r\n')
    for shade, name in enumerate(names):
        trees.picture(tmp_path / 'raw' / ALIGNED / f'{name}_aligned.jpg', shade)
    trees.landmarks(tmp_path / 'raw/RAF-DB/landmarks/test_0002_aligned.npy')
    return tmp_path / 'raw'


def test_its_labels_in_our_numbers(root):
    made = trees.read(trees.build(Rafdb, root, 'emotion'))
    assert [record.emotion for record in made['train']] == [2, 6, 5, 0, 1, 3, 4]
    first, second = made['test']
    assert (first.id, first.task, first.emotion, first.aus) == ('test_0001', 'emotion', 0, ())
    assert first.instruction == 'What emotions are conveyed by this face?'
    assert first.response == 'The emotion of this face is happiness.'
    assert first.source == 'RAF-DB'
    assert first.image == (root / ALIGNED / 'test_0001_aligned.jpg').read_bytes()
    assert np.isnan(first.landmarks).all()
    np.testing.assert_array_equal(second.landmarks, trees.POINTS)


def test_rows_that_are_wrong_are_all_listed(root):
    path = root / LABELS
    text = path.read_text().replace('train_00001.jpg 1', 'train_00001.jpg 8')
    path.write_text(text + 'test_0003\n')
    with pytest.raises(UserError) as error:
        trees.build(Rafdb, root, 'emotion')
    assert "the label of train_00001 is '8', expected 1..7" in str(error.value)
    assert "expected a picture and its label, 'train_00001.jpg 5', not 'test_0003'" in str(
        error.value
    )


def test_what_is_missing_and_where_it_comes_from(tmp_path):
    with pytest.raises(UserError) as error:
        trees.build(Rafdb, tmp_path, 'emotion')
    for part in (LABELS, ALIGNED, 'whdeng.cn/RAF/model1.html', f'{tmp_path}/RAF-DB/basic holds'):
        assert part in str(error.value)


def test_it_has_no_action_units(root):
    with pytest.raises(UserError, match="rafdb has no labels for task 'au'; expected task 'emo"):
        trees.build(Rafdb, root, 'au')


def test_what_programs_leave_in_folders_is_passed_over(root):
    trees.check_litter(Rafdb, root, 'emotion')
