"""Every recorded run of the released evaluation script: what it printed and what it wrote."""

import json
import re

import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS
from emola_jax.metrics import action_units, emotions, read_answers, rege, rouge
from emola_jax.metrics.sample import Sample
from tests.metrics.golden import RECORDED, printed, runs

AU_RUNS = ('au_FABA', 'au_DISFA', 'au_EmotioNet', 'au_resA')
EMOTION_RUNS = ('emotion_ok', 'emotion_extra_name')
RESUMED = ('au_resA', 'emotion_resumed')
CRASHED = ('au_empty_first', 'emotion_bad_label')


def samples_of(run):
    return [Sample(str(i), *texts) for i, texts in enumerate(run['items'])]


def body(run, name):
    (text,) = (text for path, text in run['files'].items() if path.endswith(f'/{name}'))
    return json.loads(text)


def folder(run, tmp_path):
    for name, text in run['files'].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    return tmp_path


def one_hot(aus, dataset):
    return [int(au in aus) for au in AU_LISTS[dataset]]


def task_and_aus(run):
    task = run['task'].lower()
    return task, action_units.scored_aus(run['dataset'].lower()) if task == 'au' else ()


def test_every_run_is_checked_here():
    names = {run['name'] for run in RECORDED['eval_runs']}
    assert names == {*AU_RUNS, *EMOTION_RUNS, *RESUMED, *CRASHED, 'empty_anno_au'}


@pytest.mark.parametrize('name', AU_RUNS)
def test_au_figures(name):
    (run,) = runs(name)
    task, aus = task_and_aus(run)
    scores = rege.score(samples_of(run), task, aus).reference
    f1 = [100 * entry['F1'] for entry in run['per_au']]
    accuracy = [100 * entry['acc'] for entry in run['per_au']]
    assert list(scores.per_au.values()) == pytest.approx(f1, abs=1e-9)
    assert list(scores.accuracy_per_au.values()) == pytest.approx(accuracy, abs=1e-9)
    positives = [sum(entry['cm'][1]) for entry in run['per_au']]
    assert list(scores.positives_per_au.values()) == positives
    text = printed(run)
    table = ''.join(f'AU{au}: {value:.2f}, ' for au, value in scores.per_au.items())
    assert table in text.splitlines()
    assert f'F1: {scores.s_re:.2f}%, Acc: {scores.mean_accuracy:.2f},' in text
    if name not in RESUMED:
        assert f'Average rouge: {scores.s_ge:.2f}%' in text
        assert scores.s_rege == scores.s_re + scores.s_ge


@pytest.mark.parametrize('name', [*EMOTION_RUNS, 'emotion_resumed'])
def test_emotion_figures(name):
    (run,) = runs(name)
    scores = rege.score(samples_of(run), 'emotion').reference
    # Resumed, the script counts a ROUGE-L of 0 for what it finds done.
    s_ge = 0.0 if name in RESUMED else scores.s_ge
    assert f'Acc: {scores.s_re:.2f}, Average rouge: {s_ge:.2f}%' in printed(run)
    line = f'The acc is: {scores.s_re:.2f}%, the average rouge is: {s_ge:.2f}.\n'
    assert run['stdout'] == line


@pytest.mark.parametrize('name', [*AU_RUNS, *EMOTION_RUNS, 'emotion_resumed'])
def test_files(name):
    (run,) = runs(name)
    task, _ = task_and_aus(run)
    dataset = run['dataset'].lower()
    failed = {}
    targets = {}
    for i, (prediction, reference, label) in enumerate(run['items']):
        if task == 'au':
            predicted = one_hot(action_units.reference_aus(prediction), dataset)
            target = one_hot(action_units.reference_label(label), dataset)
        else:
            predicted = emotions.reference_emotion(prediction)
            target = emotions.parse_label(label)
        targets[str(i)] = target
        rouge_l = pytest.approx(rouge.rouge_l(prediction, reference), abs=1e-12)
        answer = body(run, f'jsons/{i}.json')
        assert answer == {
            'image_path': f'D/im{i}.jpg',
            'label': prediction,
            'gt': label,
            'rouge': rouge_l,
        }
        if predicted != target:
            failed[i] = {
                'image_path': f'D/im{i}.jpg',
                'given_label': label,
                'prediction': prediction,
                'rouge': rouge_l,
            }
            assert body(run, f'failed_jsons/{i}.json') == failed[i]
    names = [path for path in run['files'] if '/failed_jsons/' in path]
    assert len(names) == len(failed)
    # A resumed run writes these for what it answered itself: nothing here.
    fresh = name not in RESUMED
    assert body(run, 'gt.json') == (targets if fresh else {})
    predictions = {str(i): texts[0] for i, texts in enumerate(run['items'])}
    assert body(run, 'pred.json') == (predictions if fresh else {})
    assert body(run, 'fail.json') == (list(failed.values()) if fresh else [])


@pytest.mark.parametrize('name', [*AU_RUNS, *EMOTION_RUNS, *RESUMED])
def test_a_folder_of_the_script_scores_like_its_texts(name, tmp_path):
    (run,) = runs(name)
    task, aus = task_and_aus(run)
    from_folder = rege.score(read_answers.read(folder(run, tmp_path), task), task, aus)
    from_texts = rege.score(samples_of(run), task, aus)
    for scoring in rege.SCORINGS:
        for score in ('s_re', 's_ge', 's_rege'):
            found, expected = from_folder.by_scoring[scoring], from_texts.by_scoring[scoring]
            assert found.headlines[score] == pytest.approx(expected.headlines[score])
    assert from_folder.rouge_score.rouge_l is None


def test_annotations_give_a_folder_its_references(tmp_path):
    (run,) = runs('au_FABA')
    path = tmp_path / 'anno.json'
    path.write_text(json.dumps([{'label': item[2], 'gpt4': item[1]} for item in run['items']]))
    assert read_answers.read(folder(run, tmp_path / 'run'), 'au', path) == samples_of(run)


def test_where_the_script_crashed():
    # No ROUGE-L is at hand for a first answer without a sentence: the script stops.
    (run,) = runs('au_empty_first')
    assert 'UnboundLocalError' in run['exception']
    task, aus = task_and_aus(run)
    scores = rege.score(samples_of(run), task, aus)
    assert scores.n == len(run['items']) == 6
    scored = [rouge.rouge_l(*item[:2]) for item in run['items'][1:]]
    assert scores.reference.s_ge == pytest.approx(100 * np.mean(scored))
    assert scores.strict.s_ge == pytest.approx(100 * np.sum(scored) / 6)
    # It knows emotions with a capital letter only.
    (run,) = runs('emotion_bad_label')
    assert 'KeyError' in run['exception']
    assert rege.score(samples_of(run), 'emotion').reference.s_re == 100.0
    # Without samples it prints nan.
    (run,) = runs('empty_anno_au')
    assert re.search('F1: nan%, Acc: nan, Average rouge: nan%', printed(run))
    with pytest.raises(UserError, match='no samples'):
        rege.score(samples_of(run), 'au', (4,))
