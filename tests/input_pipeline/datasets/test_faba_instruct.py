import json

import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets import faba_instruct
from input_pipeline.datasets.items import Options
from input_pipeline.validate import problems
from tests.input_pipeline.datasets import trees
from tests.input_pipeline.fakes import png


@pytest.fixture
def root(tmp_path):
    """A tree in the shape of the release: three training and three labelled faces."""
    for split in ('train', 'eval'):
        for kind in ('images', 'landmarks'):
            (tmp_path / 'FABAInstruct' / split / kind / 'Aff').mkdir(parents=True)
        for number in range(3):
            stem = f'Aff/im{number:03d}'
            folder = tmp_path / 'FABAInstruct' / split
            (folder / 'images' / f'{stem}.jpg').write_bytes(png((number, 0, 0)))
            np.save(folder / 'landmarks' / f'{stem}.npy', np.full(212, number / 10, np.float32))

    def paths(split, number):
        stem = f'Aff/im{number:03d}'
        return {
            'image': f'FABAInstruct/{split}/images/{stem}.jpg',
            'landmark': f'FABAInstruct/{split}/landmarks/{stem}.npy',
        }

    def turn(question, answer):
        return [{'from': 'human', 'value': question}, {'from': 'gpt', 'value': answer}]

    files = {
        'train/train_emotion_anno.json': [
            paths('train', 0)
            | {
                'id': 'Aff/im000',
                'source': 'AffectNet',
                'conversations': turn('<image>\nWhich emotion?', 'Joy.'),
            }
        ],
        'train/train_au_anno.json': [
            paths('train', n)
            | {
                'id': f'Aff/im{n:03d}',
                'source': 'AffectNet',
                'conversations': turn('Which AUs?\n<image>', f'1. AU{n} - x'),
            }
            for n in (1, 2)
        ],
        'eval/eval_emotion_anno.json': [
            paths('eval', 0) | {'label': 'Happiness', 'gpt4': 'Joy.'},
            paths('eval', 1) | {'label': '6', 'gpt4': 'Fear.'},
        ],
        'eval/eval_au_anno.json': [paths('eval', 2) | {'label': '4, 9', 'gpt4': 'AU4 and AU9.'}],
    }
    for name, entries in files.items():
        (tmp_path / 'FABAInstruct' / name).write_text(json.dumps(entries))
    return tmp_path


def test_training_records_are_the_conversations(root):
    source = faba_instruct.load(root, 'mix', 'train')
    assert len(source) == 3
    first, second = source[0], source[1]
    assert (first.id, first.task, first.instruction, first.response) == (
        'emotion/Aff/im000',
        'emotion',
        'Which emotion?',
        'Joy.',
    )
    assert (second.task, second.instruction, second.source) == ('au', 'Which AUs?', 'AffectNet')
    np.testing.assert_array_equal(second.landmarks, np.full(212, 0.1, np.float32))
    assert second.image == png((1, 0, 0))


def test_evaluated_records_carry_labels_and_the_released_question(root):
    source = faba_instruct.load(root, 'mix', 'eval')
    labels = [(source[i].task, source[i].emotion, source[i].aus) for i in range(3)]
    assert labels == [('emotion', 0, ()), ('emotion', 6, ()), ('au', -1, (4, 9))]
    assert source[2].instruction == 'What AUs are conveyed by this face?'
    assert source[0].instruction == 'What emotions are conveyed by this face?'


def test_one_task_alone(root):
    assert {faba_instruct.load(root, 'au', 'train')[i].task for i in range(2)} == {'au'}


def test_missing_annotations_are_named_and_a_whole_tree_misses_nothing(root):
    assert faba_instruct.missing(root, Options(task='mix')) == []
    (root / 'FABAInstruct/train/train_au_anno.json').unlink()
    (line,) = faba_instruct.missing(root, Options(task='mix'))
    assert 'train_au_anno.json' in line
    assert faba_instruct.missing(root, Options(task='emotion')) == []


def test_an_entry_that_lacks_a_field_is_named(root):
    path = root / 'FABAInstruct/eval/eval_au_anno.json'
    path.write_text(json.dumps([{'image': 'x.jpg', 'label': '4'}]))
    with pytest.raises(UserError, match=r'eval_au_anno\.json: entry 0 lacks .*landmark, gpt4'):
        faba_instruct.load(root, 'au', 'eval')


def test_a_conversation_of_other_than_question_and_answer_is_named(root):
    path = root / 'FABAInstruct/train/train_au_anno.json'
    entries = json.loads(path.read_text())
    entries[1]['conversations'] *= 2
    path.write_text(json.dumps(entries))
    with pytest.raises(
        UserError, match=r"train_au_anno\.json: entry 1 has turns from \['human', 'g"
    ):
        faba_instruct.load(root, 'au', 'train')


def test_a_file_that_is_no_json_is_named(root):
    path = root / 'FABAInstruct/eval/eval_au_anno.json'
    path.write_text('[{')
    with pytest.raises(UserError, match=r'eval_au_anno\.json: expected a JSON list'):
        faba_instruct.load(root, 'au', 'eval')


def test_a_missing_picture_or_landmark_file_is_a_problem_of_its_record(root):
    (root / 'FABAInstruct/eval/images/Aff/im000.jpg').unlink()
    (root / 'FABAInstruct/eval/landmarks/Aff/im001.npy').unlink()
    source = faba_instruct.load(root, 'emotion', 'eval')
    for index, field in ((0, 'image'), (1, 'landmarks')):
        found = problems(source[index], known_aus=faba_instruct.KNOWN_AUS)
        assert [field in problem.message for problem in found] == [True]


def test_what_is_missing_comes_with_where_to_get_it(tmp_path):
    with pytest.raises(UserError) as error:
        trees.build(faba_instruct.FabaInstruct, tmp_path, 'au')
    told = str(error.value)
    assert f'{tmp_path}/FABAInstruct/train/train_au_anno.json' in told
    assert 'emotion_anno' not in told
    assert told.count('(ECCV 2024)') == 1
    assert f'so that {tmp_path}/FABAInstruct holds train/ and eval/' in told


def test_built_and_read_back_it_is_what_the_files_say(root):
    built = trees.build(faba_instruct.FabaInstruct, root, 'mix')
    for split, records in trees.read(built).items():
        direct = faba_instruct.load(root, 'mix', split)
        assert len(records) == len(direct) == 3
        for record, other in zip(records, (direct[i] for i in range(3)), strict=True):
            assert vars(record).keys() == vars(other).keys()
            for field, value in vars(record).items():
                np.testing.assert_array_equal(value, getattr(other, field))


def test_entries_that_are_wrong_are_all_listed(root):
    folder = root / 'FABAInstruct'
    path = folder / 'eval/eval_emotion_anno.json'
    entries = json.loads(path.read_text())
    entries[0]['label'] = 'Contempt'
    path.write_text(json.dumps(entries))
    path = folder / 'eval/eval_au_anno.json'
    path.write_text('\ufeff' + path.read_text().replace('4, 9', '4, nine'))
    (folder / 'train/images/Aff/im001.jpg').unlink()
    with pytest.raises(UserError) as error:
        trees.build(faba_instruct.FabaInstruct, root, 'mix')
    for part in (
        '3 problems of 2 kinds',
        "entry 0 has the label 'Contempt', expected 0..6 or one of happiness",
        "entry 0 has the label '4, nine', expected FACS numbers: '4, 9'",
        "train/images/Aff/im001.jpg doesn't exist",
    ):
        assert part in str(error.value)
