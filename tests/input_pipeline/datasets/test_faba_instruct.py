import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.errors import UserError
from input_pipeline.datasets import build, checks, faba_instruct, llava_json
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
    with pytest.raises(UserError, match=r'eval_au_anno\.json: entry 0: lacks .*landmark, gpt4'):
        faba_instruct.load(root, 'au', 'eval')


def test_a_conversation_of_other_than_question_and_answer_is_named(root):
    path = root / 'FABAInstruct/train/train_au_anno.json'
    entries = json.loads(path.read_text())
    entries[1]['conversations'] *= 2
    path.write_text(json.dumps(entries))
    with pytest.raises(
        UserError, match=r"train_au_anno\.json: entry 1: has turns from \['human', 'g"
    ):
        faba_instruct.load(root, 'au', 'train')


def test_a_file_that_is_no_json_is_named(root):
    path = root / 'FABAInstruct/eval/eval_au_anno.json'
    path.write_text('[{')
    with pytest.raises(UserError, match=r'eval_au_anno\.json: not JSON'):
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
        "entry 0: has the label 'Contempt', expected 0..6 or one of happiness",
        "entry 0: has the label '4, nine', expected FACS numbers: '4, 9'",
        "train/images/Aff/im001.jpg doesn't exist",
    ):
        assert part in str(error.value)


PATHS = {'image': 'FABAInstruct/train/images/Aff/im000.jpg'} | {
    'landmark': 'FABAInstruct/train/landmarks/Aff/im000.npy'
}
TURNS = [{'from': 'human', 'value': 'Which?'}, {'from': 'gpt', 'value': 'Joy.'}]
TRAIN = PATHS | {'conversations': TURNS}
EVAL = PATHS | {'label': '3', 'gpt4': 'Anger.'}
NO_TEXTS = (None, 7, ['a.jpg'], {'a': 1}, True, float('nan'), '\ud800')


def turns(*changes, keep=2):
    changed = [{**turn, **change} for turn, change in zip(TURNS, changes, strict=False)]
    return TRAIN | {'conversations': [*changed, *TURNS[len(changed) :]][:keep]}


def conversation(*turns):
    return TRAIN | {'conversations': turns}


def without(entry, *fields):
    return {name: value for name, value in entry.items() if name not in fields}


WRONG = [
    *((f'{f} is ', 'train', TRAIN | {f: v}) for f in ('image', 'landmark') for v in NO_TEXTS),
    *(('source is ', 'train', TRAIN | {'source': value}) for value in (None, ['x'], 3)),
    *(('id is ', 'eval', EVAL | {'id': value}) for value in (None, ['x'], {}, True, 1.5)),
    *(('gpt4 is ', 'eval', EVAL | {'gpt4': value}) for value in NO_TEXTS),
    *(
        ('has the label ', 'eval', EVAL | {'label': value})
        for value in (None, ['3'], {}, True, 1.5, 'Contempt', '²', '9' * 5000, '')
    ),
    *(
        ('conversations is ', 'train', TRAIN | {'conversations': value})
        for value in (None, {}, 'Joy.', [], 5)
    ),
    *(
        ('turn 0 is ', 'train', TRAIN | {'conversations': value})
        for value in (['q', 'a'], [None, None], [[], []])
    ),
    *(('turn 1: value is ', 'train', turns({}, {'value': value})) for value in NO_TEXTS),
    *(('turn 0: from is ', 'train', turns({'from': value})) for value in (None, 1)),
    ('turn 1: lacks the field(s) value', 'train', conversation(TURNS[0], {'from': 'gpt'})),
    ('turn 0: lacks the field(s) from', 'train', conversation({'value': 'q'}, TURNS[1])),
    ('has turns from ', 'train', turns(keep=1)),
    ('has turns from ', 'train', TRAIN | {'conversations': TURNS * 2}),
    ('has turns from ', 'train', turns({'from': 'system'})),
    *((f'lacks the field(s) {f}', 'train', without(TRAIN, f)) for f in TRAIN),
    *((f'lacks the field(s) {f}', 'eval', without(EVAL, f)) for f in EVAL),
    ('image is ', 'train', TRAIN | {'image': 'a\0.jpg'}),
    ('image is ', 'train', TRAIN | {'image': '.'}),
    ('image is ', 'train', TRAIN | {'image': ''}),
    ('landmark is ', 'train', TRAIN | {'landmark': 'https://host/a.npy'}),
    ('is None', 'train', None),
    ("is 'a.jpg'", 'eval', 'a.jpg'),
    ('is [', 'train', [[[[[]]]]]),
]  # fmt: skip


@pytest.mark.parametrize(('told', 'split', 'entry'), WRONG)
def test_a_wrong_entry_is_one_named_line_and_can_be_dropped(root, told, split, entry):
    path = root / f'FABAInstruct/{split}/{split}_emotion_anno.json'
    right = json.loads(path.read_text())
    path.write_text(json.dumps([*right, entry]))
    whole = faba_instruct.scan(root, Options(task='emotion'))
    [problem] = whole.problems
    assert problem.message.startswith(f'{path}: entry {len(right)}: {told}')
    assert len(problem.message) < 300 + len(str(path))
    assert len(whole.items) == 3
    with pytest.raises(UserError, match=re.escape(f'entry {len(right)}: {told}')):
        trees.build(faba_instruct.FabaInstruct, root, 'emotion')


def test_where_all_is_dropped_the_reasons_are_said(root):
    for name, entry in (('train', {'image': ['a.jpg']}), ('eval', {})):
        path = root / f'FABAInstruct/{name}/{name}_emotion_anno.json'
        path.write_text(json.dumps([entry] if entry else []))
    with pytest.raises(UserError) as error:
        trees.build(faba_instruct.FabaInstruct, root, 'emotion', drop=True)
    assert 'there is no usable record' in str(error.value)
    assert "entry 0: image is ['a.jpg'], expected a text" in str(error.value)


def test_wrong_entries_are_dropped_and_counted(root):
    path = root / 'FABAInstruct/train/train_emotion_anno.json'
    right = json.loads(path.read_text())
    wrong = [entry for _, split, entry in WRONG if split == 'train']
    path.write_text(json.dumps([*wrong, *right]))
    built = trees.build(faba_instruct.FabaInstruct, root, 'emotion', drop=True)
    assert build.describe(built)['dropped'] == {checks.BAD_ROW: len(wrong)}
    assert len(trees.read(built)['train']) == 1


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        ('[' * 100_000, 'nested too deep'),
        ('{"image": "a"}', 'expected a JSON list of examples, found an object'),
        ('null', 'expected a JSON list of examples, found None'),
        ('', 'not JSON'),
        (b'\x89PNG\r\n', 'expected UTF-8 text'),
        ('[{"id": "Jos\xe9"}]'.encode('latin-1'), 'cp1252'),
        ('version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
    ],
)
def test_a_file_that_is_no_list_is_named_with_what_it_is(root, content, told):
    path = trees.put(root / 'FABAInstruct/eval/eval_emotion_anno.json', content)
    with pytest.raises(UserError, match=rf'eval_emotion_anno\.json: .*{told}') as error:
        trees.build(faba_instruct.FabaInstruct, root, 'emotion', drop=True)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_marks_of_an_encoding_do_not_matter(root, encoding):
    path = root / 'FABAInstruct/eval/eval_au_anno.json'
    path.write_bytes(path.read_text().encode(encoding))
    assert faba_instruct.load(root, 'au', 'eval')[0].aus == (4, 9)


def test_a_field_given_twice_is_named(root):
    path = root / 'FABAInstruct/eval/eval_au_anno.json'
    path.write_text(path.read_text().replace('{"image"', '{"image": "b.jpg", "image"'))
    with pytest.raises(UserError, match="entry 0: has the field 'image' twice"):
        faba_instruct.load(root, 'au', 'eval')


def test_an_entry_that_is_there_again_counts_once(root):
    path = root / 'FABAInstruct/eval/eval_au_anno.json'
    path.write_text(json.dumps(json.loads(path.read_text()) * 3))
    built = trees.build(faba_instruct.FabaInstruct, root, 'au')
    assert build.describe(built)['dropped'] == {'the same entry again': 2}
    assert len(trees.read(built)['eval']) == 1


def test_fields_that_nobody_reads_are_said(root):
    path = root / 'FABAInstruct/eval/eval_emotion_anno.json'
    entries = [entry | {'labels': ['Happy']} for entry in json.loads(path.read_text())]
    path.write_text(json.dumps(entries))
    built = trees.build(faba_instruct.FabaInstruct, root, 'emotion')
    [note] = build.describe(built)['notes']
    assert note == f"{path}: not read: the field(s) 'labels' (of 2)"


@pytest.mark.parametrize(
    ('gone', 'told'),
    [('eval', 'nothing can be evaluated'), ('train', 'nothing can be trained')],
)
def test_one_split_alone_is_built_and_the_other_one_said(root, gone, told):
    (root / 'FABAInstruct' / gone).rename(root / 'elsewhere')
    built = trees.build(faba_instruct.FabaInstruct, root, 'mix')
    [note] = build.describe(built)['notes']
    assert str(root / 'FABAInstruct' / gone) in note and told in note
    assert {split: len(found) for split, found in trees.read(built).items()} == {
        'train' if gone == 'eval' else 'eval': 3
    }
    assert len(faba_instruct.DATA_SET.lacking(root, Options())) == 4


def test_a_split_that_is_there_in_part_is_missing_files(root):
    (root / 'FABAInstruct/eval/eval_au_anno.json').unlink()
    with pytest.raises(UserError, match=r'files of FABA-Instruct are missing:\n.*eval_au_anno'):
        trees.build(faba_instruct.FabaInstruct, root, 'mix')


def test_an_archive_unpacked_into_a_folder_of_its_own_name(root):
    (root / 'FABAInstruct').rename(root / 'inner')
    (root / 'FABAInstruct').mkdir()
    (root / 'inner').rename(root / 'FABAInstruct/FABAInstruct')
    for name in ('.DS_Store', 'Thumbs.db', '__MACOSX/._train', 'README.txt'):
        trees.put(root / 'FABAInstruct' / name, 'junk')
    built = trees.build(faba_instruct.FabaInstruct, root, 'mix')
    assert [len(found) for found in trees.read(built).values()] == [3, 3]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(['from', 'value', 'a']), inner, max_size=2)
    ),
    max_leaves=5,
)
_ENTRIES = st.one_of(
    _VALUES,
    *(
        st.fixed_dictionaries({name: st.just(value) | _VALUES for name, value in entry.items()})
        for entry in (TRAIN, EVAL)
    ),
)


@given(st.lists(_ENTRIES, max_size=3), st.sampled_from(['train', 'eval']))
@settings(max_examples=100, deadline=None)
def test_any_json_gives_records_or_sentences(tmp_path_factory, entries, split):
    root = tmp_path_factory.mktemp('any')
    for name in ('train', 'eval'):
        content = json.dumps(entries if name == split else [])
        trees.put(root / f'FABAInstruct/{name}/{name}_emotion_anno.json', content)
        trees.put(root / f'FABAInstruct/{name}/{name}_au_anno.json', content)
    found = faba_instruct.scan(root, Options())
    named = {problem.record for problem in found.problems}
    assert len(found.items) + len(named) == 2 * len(entries)
    [item.response.encode() for item in found.items]
    [problem.message.encode() for problem in found.problems]


def test_lines_in_place_of_a_list_are_called_so(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('\n{"image": "a.jpg"}\n{"image": "b.jpg"}\n')
    with pytest.raises(UserError, match=r'a\.json: holds one JSON object a line; expected a JSON'):
        llava_json.read(path)
    path.write_text('[{"image": "a.jpg"},\n{"image": "b.jpg"}')
    with pytest.raises(UserError, match=r'a\.json: not JSON'):
        llava_json.read(path)
