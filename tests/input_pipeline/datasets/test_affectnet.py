import numpy as np
import pytest
from PIL import Image

from emola_jax.errors import UserError
from input_pipeline import images
from input_pipeline.datasets import build
from input_pipeline.datasets.affectnet import Affectnet
from tests.input_pipeline.datasets import trees


@pytest.fixture
def arrays(tmp_path):
    """The 8-label release: labels as texts in one set and as numbers in the other."""
    raw = tmp_path / 'raw'
    for name, expressions in (('train_set', range(8)), ('val_set', (1, 7, 6))):
        for number, expression in enumerate(expressions):
            label = str(expression) if name == 'train_set' else expression
            trees.landmarks(raw / f'AffectNet/{name}/annotations/{number}_exp.npy', np.array(label))
            trees.landmarks(raw / f'AffectNet/{name}/annotations/{number}_lnd.npy', np.zeros(136))
            trees.picture(raw / f'AffectNet/{name}/images/{number}.jpg', number)
    return raw


@pytest.fixture
def lists(tmp_path):
    """The first release: whole pictures with the box of a face."""
    raw = tmp_path / 'raw'
    header = (
        'subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,'
        'expression,valence,arousal'
    )
    rows = {
        'training': ['689/a.jpg,10,20,30,40,1.5;2.5,3,0.1,0.2', '689/b.jpg,-1,-1,-1,-1,,10,-2,-2'],
        'validation': ['7/c.JPG,0,0,8,8,1;2,0,-0.1,0.4', '7/d.jpg,0,0,8,8,1;2,7,0,0'],
    }
    for name, of_list in rows.items():
        text = '\n'.join([header, *of_list])
        trees.put(raw / f'AffectNet/Manually_Annotated_file_lists/{name}.csv', text)
    for name in ('689/a.jpg', '7/c.JPG'):
        trees.picture(raw / 'AffectNet/Manually_Annotated_Images' / name, 77, size=(64, 80))
    return raw


def test_eight_labels_become_seven_and_contempt_is_counted(arrays):
    built = trees.build(Affectnet, arrays, 'emotion')
    made = trees.read(built)
    assert trees.labels(made['train']) == [
        (f'train/{number}', 'emotion', emotion, ())
        for number, emotion in enumerate([4, 0, 1, 2, 6, 5, 3])
    ]
    assert trees.labels(made['validation']) == [
        ('validation/0', 'emotion', 0, ()),
        ('validation/2', 'emotion', 3, ()),
    ]
    assert made['train'][0].response == 'The emotion of this face is neutral.'
    assert build.describe(built)['dropped'] == {'contempt': 2}


def test_the_first_release_is_cut_to_the_faces_box(lists):
    built = trees.build(Affectnet, lists, 'emotion')
    made = trees.read(built)
    assert trees.labels(made['train']) == [('train/689/a', 'emotion', 2, ())]
    assert trees.labels(made['validation']) == [('validation/7/c', 'emotion', 4, ())]
    assert images.decode(made['train'][0].image, name='a').size == (30, 40)
    assert build.describe(built)['dropped'] == {'no face': 1, 'contempt': 1}


def test_a_box_is_of_the_stored_picture_and_its_face_is_upright(lists):
    stored = np.zeros((80, 64, 3), np.uint8)
    stored[20:60, 10:40] = 0, 0, 255
    stored[20:40, 10:40] = 255, 0, 0  # the half that is on the right of the upright picture
    path = lists / 'AffectNet/Manually_Annotated_Images/689/a.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(path, exif=exif, quality=95, subsampling=0)
    made = trees.read(trees.build(Affectnet, lists, 'emotion'))
    face = np.asarray(images.decode(made['train'][0].image, name='a'), float)
    assert face.shape == (30, 40, 3)
    assert np.abs(face[2:-2, 2:18] - (0, 0, 255)).mean() < 12
    assert np.abs(face[2:-2, 22:-2] - (255, 0, 0)).mean() < 12


def test_an_expression_out_of_range_and_an_annotation_that_is_none(arrays):
    folder = arrays / 'AffectNet/train_set/annotations'
    trees.landmarks(folder / '0_exp.npy', np.array('11'))
    trees.put(folder / '1_exp.npy', 'no array')
    with pytest.raises(UserError) as error:
        trees.build(Affectnet, arrays, 'emotion')
    assert "0_exp.npy: the expression is '11', expected 0..10" in str(error.value)
    assert '1_exp.npy: expected an array of one label' in str(error.value)


def test_a_row_without_its_box_is_named(lists):
    path = lists / 'AffectNet/Manually_Annotated_file_lists/training.csv'
    path.write_text(path.read_text().replace(',10,20,30,40,', ',10,20,30,,'))
    with pytest.raises(UserError, match=r"line 2: the face's box is \['10', '20', '30', ''\]"):
        trees.build(Affectnet, lists, 'emotion')


def test_a_truncated_picture_is_named(arrays):
    path = arrays / 'AffectNet/train_set/images/3.jpg'
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="record 'train/3': field image holds no readable picture"):
        trees.build(Affectnet, arrays, 'emotion')


def test_what_is_missing_and_where_it_comes_from(tmp_path):
    with pytest.raises(UserError, match=r'train_set/images: AffectNet\n(.|\n)*mohammadmahoor\.com'):
        trees.build(Affectnet, tmp_path, 'emotion')


@pytest.mark.parametrize('release', ['arrays', 'lists'])
def test_what_programs_leave_in_folders_is_passed_over(release, request):
    trees.check_litter(Affectnet, request.getfixturevalue(release), 'emotion')


BOXES = {
    'outside': ('5000,20,30,40', 'beyond the picture of 64 x 80 pixels'),
    'below': ('10,81,30,40', 'beyond the picture of 64 x 80 pixels'),
    'partly outside': ('40,20,30,40', 'beyond the picture of 64 x 80 pixels'),
    'no width': ('10,20,0,40', 'is 0 x 40 pixels, expected at least 1 x 1'),
    'no height': ('10,20,30,0', 'is 30 x 0 pixels, expected at least 1 x 1'),
    'negative': ('-1,20,30,40', "is ['-1', '20', '30', '40'], expected four whole numbers"),
    'a part of a pixel': ('1.5,20,30,40', "is ['1.5', '20', '30', '40'], expected four whole"),
    'no number': ('nan,20,30,40', "is ['nan', '20', '30', '40'], expected four whole numbers"),
    'a digit of another kind': ('\N{SUPERSCRIPT TWO},20,30,40', 'expected four whole numbers'),
    'too long for a number': ('9' * 5000 + ',20,30,40', 'expected four whole numbers'),
}


@pytest.mark.parametrize('kind', BOXES)
def test_a_box_that_no_face_can_have_is_one_row_and_can_be_dropped(lists, kind):
    box, told = BOXES[kind]
    path = lists / 'AffectNet/Manually_Annotated_file_lists/training.csv'
    path.write_text(path.read_text() + f'\n689/z.jpg,{box},1;2,1,0,0\n7/c.JPG,0,0,8,8,,1,0,0\n')
    trees.picture(lists / 'AffectNet/Manually_Annotated_Images/689/z.jpg', 77, size=(64, 80))
    with pytest.raises(UserError) as error:
        trees.build(Affectnet, lists, 'emotion')
    assert told in str(error.value) and 'affectnet: ' in str(error.value)
    built = trees.build(Affectnet, lists, 'emotion', drop=True)
    made = trees.read(built)
    assert [record.id for record in made['train']][-1] == 'train/7/c'
    assert build.describe(built)['dropped']['box beyond the picture'] == 1


def test_a_box_may_fill_its_picture_and_be_written_as_spreadsheets_do(lists):
    path = lists / 'AffectNet/Manually_Annotated_file_lists/training.csv'
    path.write_text(path.read_text().replace(',10,20,30,40,', ',0.0,0,64,80.0,'))
    made = trees.read(trees.build(Affectnet, lists, 'emotion'))
    assert images.decode(made['train'][0].image, name='a').size == (64, 80)
