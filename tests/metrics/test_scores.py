"""Scores and answers as JSON: order of fields, older files, damaged ones."""

import dataclasses
import json

import pytest

from emola_jax.errors import UserError
from emola_jax.metrics import answer_row, cross_validation, rege
from emola_jax.metrics.answer_row import AnswerRow
from emola_jax.metrics.scores import RunScores, Scores, Scoring
from tests.made_scores import made

SAMPLES = {
    'au': [
        rege.Sample('a', 'AU4 - Brow Lowerer and AU9.', 'AU4 acts.', '4, 12'),
        rege.Sample('b', 'AU12.', 'AU12 acts.', '12'),
        rege.Sample('c', 'Hm.', 'Nothing.', ''),
    ],
    'emotion': [
        rege.Sample('a', 'It is fear.', 'Fear.', 'fear'),
        rege.Sample('b', 'Hm.', 'Anger.', 'anger'),
        rege.Sample('c', 'It is joy.', 'Fear.', 'fear'),
    ],
}

BOTH = ['s_re', 's_ge', 's_rege', 'interval', 'chance', 'unparsed']
CLASSES = ['macro_f1', 'per_class', 'confusion']
UNITS = [
    'mean_f1_supported',
    'mean_accuracy',
    'au_code_name_agreement',
    'per_au',
    'accuracy_per_au',
    'positives_per_au',
    'per_au_interval',
]
MEANS = ['s_re', 's_ge', 'chance']


def score(task, **options) -> Scores:
    return rege.score(SAMPLES[task], task, (4, 9, 12), **options)


def text(scores) -> str:
    return json.dumps(scores.to_json(), indent=2)


@pytest.mark.parametrize(('task', 'details'), [('au', UNITS), ('emotion', CLASSES)])
def test_the_fields_of_the_file_and_their_order(task, details):
    written = score(task).to_json()
    assert list(written) == ['n', 'strict', 'reference', 'rouge_score']
    assert list(written['strict']) == ['reader', 'hash', *BOTH, *details]
    assert list(written['reference']) == [*BOTH, *details]
    without = score(task, replicates=0).to_json()['reference']
    assert list(without) == [name for name in [*BOTH, *details] if 'interval' not in name]
    entries = written['strict'].get('per_class', {}).values()
    assert all(list(e) == ['precision', 'recall', 'f1', 'support', 'f1_interval'] for e in entries)


def test_the_fields_of_a_mean_over_folds_and_their_order():
    folds = [dataclasses.replace(score('au'), cut_off=1)] * 2
    written = cross_validation.average(folds).to_json()
    assert list(written) == ['n', 'cut_off', 'strict', 'reference', 'rouge_score']
    tail = ['s_rege', 'unparsed', 'positives_per_au', 'std']
    assert list(written['reference']) == [*MEANS, *UNITS[:5], *tail]
    written = cross_validation.average([score('emotion')] * 2).to_json()
    tail = ['per_class', 's_rege', 'unparsed', 'confusion', 'std']
    assert list(written['reference']) == [*MEANS, 'macro_f1', *tail]
    of_class = written['reference']['per_class']['fear']
    assert list(of_class) == ['precision', 'recall', 'f1', 'support']


@pytest.mark.parametrize('task', ['au', 'emotion'])
@pytest.mark.parametrize('replicates', [0, 50])
def test_what_is_read_is_written_as_it_was(task, replicates):
    scores = dataclasses.replace(score(task, replicates=replicates), cut_off=2)
    mean = cross_validation.average([scores, scores])
    for each in (scores, mean):
        assert text(Scores.from_json(json.loads(text(each)), 'x')) == text(each)
    run = RunScores(
        {task: mean}, {'fold1': {task: scores}}, {task: scores}, {task: mean}, {'a': {task: scores}}
    )
    assert list(run.to_json()) == [task, 'folds', 'pooled', 'control', 'ablation']
    assert text(RunScores.from_json(json.loads(text(run)), 'x')) == text(run)


def test_an_older_file_lacks_reader_intervals_and_googles_rouge():
    written = json.loads(text(score('au')))
    del written['rouge_score'], written['strict']['interval'], written['strict']['per_au_interval']
    del written['strict']['reader'], written['strict']['hash']
    read = Scores.from_json(written, 'x')
    assert read.rouge_score is None and read.cut_off is None
    assert read.strict.interval is None and read.strict.reader is None
    assert text(read) == json.dumps(written, indent=2)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'n': 1.5}, 'n is 1.5, expected a count'),
        ({'n': True}, 'n is True, expected a count'),
        ({'strict': []}, r'strict is \[\], expected a JSON object'),
        ({'strict': {'s_re': 1, 's_ge': 2}}, "strict: field 's_rege' is missing"),
        ({'reference': {'s_re': '1'}}, "reference: s_re is '1', expected a number"),
        ({'rouge_score': {}}, "rouge_score: field 'rouge_l' is missing"),
    ],
)
def test_a_field_of_another_kind_is_named(changes, message):
    with pytest.raises(UserError, match=f'^file: {message}'):
        Scores.from_json(made(1.0, 2.0, 3.0).to_json() | changes, 'file')


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('interval', {'s_re': [1.0]}, 'interval.s_re has 1 ends'),
        ('per_au', {'4': 'x'}, "per_au.4 is 'x', expected a number"),
        ('per_class', {'fear': {'f1': 1.0}}, "per_class.fear: field 'precision' is missing"),
        ('confusion', {'columns': [], 'rows': {'fear': [-1]}}, r'confusion: rows.fear\[0\] is -1'),
    ],
)
def test_a_part_of_a_scoring_of_another_kind_is_named(name, value, message):
    written = made(1.0, 2.0, 3.0).strict.to_json() | {name: value}
    with pytest.raises(UserError, match=f'^file: {message}'):
        Scoring.from_json(written, 'file')


ROW = AnswerRow(
    id='face/1',
    image='faces/1.png',
    task='au',
    dataset='disfa',
    instruction='Which?',
    prediction='AU4 – ü.',
    reference='AU9.',
    label='4, 9',
    parsed=None,
    rouge_l=0.25,
    finished=True,
)
LINE = (
    '{"id": "face/1", "image": "faces/1.png", "task": "au", "dataset": "disfa", '
    '"instruction": "Which?", "prediction": "AU4 – ü.", "reference": "AU9.", "label": "4, 9", '
    '"parsed": null, "rouge_l": 0.25, "finished": true}\n'
)


def test_an_answer_is_a_line_with_its_fields_in_order(tmp_path):
    assert answer_row.lines([ROW]) == LINE
    in_fold = dataclasses.replace(ROW, fold='fold1')
    assert answer_row.lines([in_fold]) == LINE.replace('}\n', ', "fold": "fold1"}\n')
    path = tmp_path / 'predictions.jsonl'
    path.write_text(answer_row.lines([ROW, in_fold]), encoding='utf-8')
    assert answer_row.read(path) == [ROW, in_fold]
    assert answer_row.read(tmp_path / 'none.jsonl') == []
    assert ROW.sample() == rege.Sample('face/1', 'AU4 – ü.', 'AU9.', '4, 9')


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('id', 1, 'a text'),
        ('image', 3, 'a text'),
        ('parsed', [4], 'a text'),
        ('rouge_l', None, 'a number'),
        ('rouge_l', True, 'a number'),
        ('finished', 'yes', 'true or false'),
    ],
)
def test_a_damaged_answer_is_named(tmp_path, name, value, expected):
    path = tmp_path / 'predictions.jsonl'
    path.write_text(LINE + json.dumps(ROW.to_json() | {name: value}) + '\n', encoding='utf-8')
    with pytest.raises(UserError, match=f'predictions.jsonl, line 2: {name} is .*{expected}'):
        answer_row.read(path)
