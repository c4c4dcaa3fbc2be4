import json

import pytest

from emola_jax.errors import UserError
from emola_jax.metrics import read_answers
from emola_jax.metrics.sample import Sample

ROW = {'id': 'a', 'prediction': 'AU4.', 'reference': 'AU4 acts.', 'label': '4'}


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'answers.jsonl'


def write(path, *rows):
    path.write_text(''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows))


def test_only_four_fields_are_asked_for(path):
    write(path, {**ROW, 'model': 'x', 'parsed': None}, {**ROW, 'id': 7, 'label': [4, 9]})
    path.write_text('\ufeff\n' + path.read_text())
    assert read_answers.read(path, 'au') == [
        Sample('a', 'AU4.', 'AU4 acts.', '4'),
        Sample('7', 'AU4.', 'AU4 acts.', '4, 9'),
    ]


def test_rows_of_the_other_task_are_left_out(path):
    write(path, {**ROW, 'task': 'au'}, {**ROW, 'task': 'emotion', 'label': 'fear'})
    assert [sample.label for sample in read_answers.read(path, 'emotion')] == ['fear']
    with pytest.raises(UserError, match="no predictions of task 'emotion'"):
        write(path, {**ROW, 'task': 'au'})
        read_answers.read(path, 'emotion')


@pytest.mark.parametrize('number', range(7))
def test_emotions_are_numbered_as_the_released_script_does(path, number):
    names = ['Happiness', 'Sadness', 'Surprise', 'Anger', 'Neutral', 'Disgust', 'Fear']
    write(path, {**ROW, 'label': number}, {**ROW, 'id': 'b', 'label': names[number]})
    from emola_jax.metrics import emotions

    labels = [emotions.parse_label(sample.label) for sample in read_answers.read(path, 'emotion')]
    assert labels == [number, number]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('{"id": "d"', 'line 2: not JSON'),
        ('[]', 'line 2: expected a JSON object'),
        ('[' * 100_000, 'line 2: not JSON'),
        (json.dumps({'id': 'd'}), "line 2: prediction d: field 'prediction' is missing"),
        (json.dumps({**ROW, 'label': '9'}), "line 2: id 'a' occurs twice"),
        (json.dumps({**ROW, 'id': None}), 'line 2: prediction None: id is None'),
        (json.dumps({**ROW, 'id': 'b', 'prediction': 3}), 'prediction is 3, expected a text'),
        (json.dumps({**ROW, 'id': 'b', 'reference': None}), 'reference is None, expected a text'),
        (json.dumps({**ROW, 'id': 'b', 'label': 'joy'}), "label 'joy', expected FACS numbers"),
        (json.dumps({**ROW, 'id': 'b', 'label': None}), "label 'None', expected FACS numbers"),
        (json.dumps({**ROW, 'id': 'b', 'label': 4.5}), "label '4.5', expected FACS numbers"),
        (json.dumps({**ROW, 'id': 'b', 'task': 'pose'}), "task 'pose', expected 'emotion' or 'au'"),
    ],
)
def test_a_bad_line_is_one_sentence(path, line, message):
    write(path, ROW)
    path.write_text(path.read_text() + line)
    with pytest.raises(UserError) as error:
        read_answers.read(path, 'au')
    assert message in str(error.value)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_files_that_cannot_be_read(path, tmp_path):
    with pytest.raises(UserError, match='no such file'):
        read_answers.read(path, 'au')
    path.write_bytes(b'\xff\xfe{}')
    with pytest.raises(UserError, match='not UTF-8 at byte 0'):
        read_answers.read(path, 'au')
    path.write_text('\n')
    with pytest.raises(UserError, match='empty; expected one JSON object a line'):
        read_answers.read(path, 'au')
    with pytest.raises(UserError, match='only a folder of the released script'):
        read_answers.read(path, 'au', tmp_path / 'anno.json')


ANSWER = {'image_path': 'x.jpg', 'label': 'AU4.', 'gt': '4', 'rouge': 0.5}


def released(folder, *items):
    (folder / 'jsons').mkdir(parents=True)
    for i, item in enumerate(items):
        (folder / 'jsons' / f'{i}.json').write_text(json.dumps(item))
    return folder


def test_released_folder_is_found_below_and_kept_in_order(tmp_path):
    released(tmp_path / 'model' / 'anno', *[{**ANSWER, 'gt': str(i)} for i in range(12)])
    for folder in (tmp_path, tmp_path / 'model' / 'anno', tmp_path / 'model' / 'anno' / 'jsons'):
        samples = read_answers.read(folder, 'au')
        assert [sample.label for sample in samples] == [str(i) for i in range(12)]
        assert {sample.rouge_l for sample in samples} == {0.5}
    released(tmp_path / 'model' / 'other', ANSWER)
    with pytest.raises(UserError, match=r'holds several runs .*name one'):
        read_answers.read(tmp_path, 'au')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'rouge': 'x'}, 'rouge is .x., expected a number'),
        ({'rouge': 2.0}, 'rouge is 2.0, expected a number from 0 to 1'),
        ({'label': 3}, 'prediction is 3, expected a text'),
        ({'gt': 'joy'}, "label 'joy', expected FACS"),
    ],
)
def test_bad_released_answers(tmp_path, change, message):
    released(tmp_path, {**ANSWER, **change})
    with pytest.raises(UserError, match=rf'0\.json: .*{message}'):
        read_answers.read(tmp_path, 'au')


def test_bad_released_folders(tmp_path):
    with pytest.raises(UserError, match='no folder jsons/'):
        read_answers.read(tmp_path, 'au')
    released(tmp_path)
    with pytest.raises(UserError, match='empty'):
        read_answers.read(tmp_path, 'au')
    (tmp_path / 'jsons' / '0.json').write_text(json.dumps({'label': 'AU4.'}))
    with pytest.raises(UserError, match="field 'gt' is missing"):
        read_answers.read(tmp_path, 'au')
    (tmp_path / 'jsons' / 'a.json').write_text('{}')
    with pytest.raises(UserError, match=r'a\.json: expected a name such as 0\.json'):
        read_answers.read(tmp_path, 'au')


def test_annotations_of_other_samples(tmp_path):
    folder, path = released(tmp_path / 'run', ANSWER), tmp_path / 'anno.json'
    path.write_text(json.dumps([{'label': '9', 'gpt4': 'AU9.'}]))
    with pytest.raises(UserError, match="label '4' is not that of"):
        read_answers.read(folder, 'au', path)
    path.write_text('{}')
    with pytest.raises(UserError, match="expected a list of objects with 'label' and 'gpt4'"):
        read_answers.read(folder, 'au', path)


@pytest.mark.parametrize('separator', ['\u2028', '\u2029', '\x85', '\x0b', '\x0c', '\x1c'])
def test_only_a_line_feed_ends_a_line(path, separator):
    text = f'AU4.{separator}AU9.'
    write(path, {**ROW, 'prediction': text})
    assert [sample.prediction for sample in read_answers.read(path, 'au')] == [text]


@pytest.mark.parametrize('indent', [None, 2])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
def test_a_json_list_and_one_object_are_read(path, indent, mark):
    path.write_text(mark + json.dumps([ROW, {**ROW, 'id': 'b'}], indent=indent))
    assert [sample.id for sample in read_answers.read(path, 'au')] == ['a', 'b']
    path.write_text(mark + json.dumps(ROW, indent=indent))
    assert [sample.id for sample in read_answers.read(path, 'au')] == ['a']


def test_a_bad_entry_of_a_list_is_named(path):
    path.write_text(json.dumps([ROW, {**ROW, 'id': 'b', 'label': None}]))
    with pytest.raises(UserError, match=r"jsonl: entry 1: prediction b: label 'None'"):
        read_answers.read(path, 'au')
    path.write_text('[{"id": 1},\n')
    with pytest.raises(UserError, match=r'answers\.jsonl: not JSON'):
        read_answers.read(path, 'au')
    path.write_text('[]')
    with pytest.raises(UserError, match='empty'):
        read_answers.read(path, 'au')


def test_an_answer_given_again_counts_once_and_is_said(path):
    write(path, ROW, {**ROW, 'id': 'b'}, ROW)
    found = read_answers.load(path, 'au')
    assert [sample.id for sample in found.samples] == ['a', 'b']
    [note] = found.notes
    assert '1 answers are there again' in note


def test_a_crashed_run_counts_what_it_did_not_answer(tmp_path):
    folder = released(tmp_path / 'run', *[ANSWER] * 3)
    anno = tmp_path / 'anno.json'
    anno.write_text(json.dumps([{'label': '4', 'gpt4': 'AU4 acts.'}] * 7))
    found = read_answers.load(folder, 'au', anno)
    assert [sample.prediction for sample in found.samples] == ['AU4.'] * 3 + [''] * 4
    assert '3 of 7 answered; the other 4 count as empty' in found.notes[0]
    anno.write_text(json.dumps([{'label': '4', 'gpt4': 'AU4 acts.'}] * 3))
    assert read_answers.load(folder, 'au', anno).notes == ()


def test_gaps_in_the_numbering_are_said_without_annotations(tmp_path):
    folder = released(tmp_path / 'run', *[ANSWER] * 6)
    assert read_answers.load(folder, 'au').notes == ()
    for number in (2, 3, 4):
        (folder / 'jsons' / f'{number}.json').unlink()
    for junk in ('.DS_Store', '._0.json', 'Thumbs.db'):
        (folder / 'jsons' / junk).write_text('junk')
    found = read_answers.load(folder, 'au')
    assert [sample.id for sample in found.samples] == ['0', '1', '5']
    assert '3 are missing (2.json, 3.json, 4.json)' in found.notes[0]
    (folder / 'jsons' / '5.json').rename(folder / 'jsons' / f'{10**12}.json')
    note = read_answers.load(folder, 'au').notes[0]
    assert f'{10**12 - 2} are missing (2.json, 3.json, 4.json, 5.json, 6.json, …)' in note
