import json

import jax
import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.evaluation import evaluate
from emola_jax.files.whole import read_jsonl
from emola_jax.generation import generate
from tests.tiny_experiment import questions, tiny_experiment

pytestmark = pytest.mark.usefixtures('compiled_quickly')


def answers(workdir):
    return [row['prediction'] for row in read_jsonl(workdir / 'predictions.jsonl')]


@pytest.fixture(scope='module')
def calm(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('calm')
    experiment = tiny_experiment(workdir, count=20)
    scores = evaluate.evaluate(experiment, experiment.trainable, step=0)
    return workdir, scores


def test_every_record_is_answered_once_in_order(calm):
    workdir, scores = calm
    rows = read_jsonl(workdir / 'predictions.jsonl')
    assert [row['id'] for row in rows] == [f'face-{number:03d}' for number in range(20)]
    assert scores['emotion'].n == scores['au'].n == 10
    assert {row['label'] for row in rows if row['task'] == 'au'} == {'4, 9'}
    for row in rows:
        assert (workdir / row['image']).is_file()


class Killed(BaseException):
    pass


def killed_after(batches, experiment):
    """Starts the evaluation, which dies when it has written so many batches."""
    calls = []

    def dying(*arguments, **options):
        if len(calls) == batches:
            raise Killed
        calls.append(1)
        return generate.generate(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(evaluate, 'generate', dying)
        evaluate.evaluate(experiment, experiment.trainable, step=0)


@pytest.mark.parametrize('cut', [0, 1, 300])
def test_answers_cut_off_anywhere_are_completed_to_the_same_file(calm, cut, tmp_path):
    workdir, scores = calm
    experiment = tiny_experiment(tmp_path, count=20)
    killed_after(3, experiment)
    part = tmp_path / 'answers' / 'host0.jsonl'
    written = part.read_bytes()
    part.write_bytes(written[: len(written) - cut])
    again = evaluate.evaluate(experiment, experiment.trainable, step=0)
    path = tmp_path / 'predictions.jsonl'
    assert path.read_bytes() == (workdir / 'predictions.jsonl').read_bytes()
    assert again == scores
    assert not part.parent.exists()


def test_whole_batches_are_not_answered_again(tmp_path):
    experiment = tiny_experiment(tmp_path, count=20)
    killed_after(3, experiment)
    part = tmp_path / 'answers' / 'host0.jsonl'
    rows = [row | {'prediction': 'kept'} for row in read_jsonl(part)]
    part.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    evaluate.evaluate(experiment, experiment.trainable, step=0)
    assert len(rows) == 18  # 8 + 2 of one task, 8 of the other
    assert answers(tmp_path).count('kept') == 18


def test_a_finished_evaluation_is_only_scored_again(calm, monkeypatch):
    workdir, scores = calm
    experiment = tiny_experiment(workdir, count=20)
    monkeypatch.setattr(evaluate, 'generate', None)
    assert evaluate.evaluate(experiment, experiment.trainable, step=0) == scores


def test_a_damaged_part_is_named(tmp_path):
    experiment = tiny_experiment(tmp_path, count=20)
    killed_after(1, experiment)
    part = tmp_path / 'answers' / 'host0.jsonl'
    part.write_text('{"index": 0\n' + part.read_text())
    with pytest.raises(UserError, match=r'host0\.jsonl: expected one answer a line'):
        evaluate.evaluate(experiment, experiment.trainable, step=0)


def test_answers_of_another_step_are_not_reused(tmp_path):
    experiment = tiny_experiment(tmp_path, count=4)
    evaluate.evaluate(experiment, experiment.trainable, step=0)
    rows = read_jsonl(tmp_path / 'predictions.jsonl')
    stale = [row | {'prediction': 'stale'} for row in rows]
    (tmp_path / 'predictions.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in stale))
    evaluate.evaluate(experiment, experiment.trainable, step=7)
    assert 'stale' not in answers(tmp_path)


def test_the_control_sees_neither_the_face_nor_its_landmarks(tmp_path):
    experiment = tiny_experiment(tmp_path, count=4)
    seen = []
    original = evaluate.generate

    def spy(model, params, batch, **options):
        seen.append({name: np.asarray(rows) for name, rows in batch.items()})
        return original(model, params, batch, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, 'generate', spy)
        evaluate.evaluate(experiment, experiment.trainable, step=0, blind=True)
    for batch, first in zip(seen, (0, 1), strict=True):
        assert len(np.unique(batch['images'].reshape(-1, 3), axis=0)) == 1
        # Of two faces each has the other's.
        faces = [experiment.data.splits['test'].source[first + 2 * i].landmarks for i in (1, 0)]
        np.testing.assert_allclose(batch['landmarks'][:2, 0], faces)


def evaluated(workdir, *, faces, batch_size, devices=1, temperature=0.0):
    """Answer by (task, id)."""
    asked = {'batch_size': batch_size, 'sampler': {'temperature': temperature}}
    experiment = tiny_experiment(
        workdir, faces=faces, devices=devices, lively=True, evaluation=asked
    )
    evaluate.evaluate(experiment, experiment.trainable, step=0)
    rows = read_jsonl(workdir / 'predictions.jsonl')
    return {(row['task'], row['id']): row['prediction'] for row in rows}


@pytest.fixture(scope='module', params=[0.0, 1.0], ids=['greedy', 'sampled'])
def one_at_a_time(request, tmp_path_factory):
    workdir = tmp_path_factory.mktemp('one')
    faces = questions(13)
    found = evaluated(workdir, faces=faces, batch_size=1, temperature=request.param)
    assert len(set(found.values())) > 5  # else equal texts would say little
    return request.param, faces, found


@pytest.mark.parametrize(('devices', 'batch_size'), [(1, 5), (8, 5), (8, 16)])
def test_a_batch_writes_what_one_at_a_time_writes(one_at_a_time, devices, batch_size, tmp_path):
    temperature, faces, expected = one_at_a_time
    found = evaluated(
        tmp_path, faces=faces, batch_size=batch_size, devices=devices, temperature=temperature
    )
    assert found == expected


def test_answers_do_not_depend_on_the_order_of_the_split(one_at_a_time, tmp_path):
    temperature, faces, expected = one_at_a_time
    found = evaluated(tmp_path, faces=faces[::-1], batch_size=5, temperature=temperature)
    assert list(found) == list(expected)[::-1]
    assert found == expected


def test_other_seeds_sample_other_answers(tmp_path):
    texts = []
    for seed in (0, 1):
        asked = {'sampler': {'temperature': 1.0}}
        experiment = tiny_experiment(tmp_path / str(seed), count=6, seed=seed, evaluation=asked)
        evaluate.evaluate(experiment, experiment.trainable, step=0)
        texts.append(answers(tmp_path / str(seed)))
    assert all(a != b for a, b in zip(*texts, strict=True))


@pytest.mark.parametrize('ends', [True, False])
def test_an_empty_answer_and_one_that_never_ends_are_scored(ends, tmp_path, monkeypatch):
    experiment = tiny_experiment(tmp_path, count=6)
    eos = experiment.tokenizer.eos_id
    word = experiment.tokenizer.encode('a')[0]

    def write(model, params, batch, *, max_new_tokens, **options):
        rows = len(batch['tokens'])
        return jax.numpy.full((rows, max_new_tokens), eos if ends else word, int)

    monkeypatch.setattr(evaluate, 'generate', write)
    scores = evaluate.evaluate(experiment, experiment.trainable, step=0)
    assert answers(tmp_path) == ['' if ends else 'aaaaaa'] * 6
    for task in ('emotion', 'au'):
        assert scores[task].n == 3
        assert scores[task].cut_off == (0 if ends else 3)
        assert scores[task].strict.unparsed == 3
        assert scores[task].strict.s_ge == 0


def test_a_split_of_one_task_has_scores_of_that_task_only(tmp_path):
    faces = [face for face in questions(6) if face.task == 'au']
    experiment = tiny_experiment(tmp_path, faces=faces)
    assert list(evaluate.evaluate(experiment, experiment.trainable, step=0)) == ['au']


def test_an_empty_split_is_refused(tmp_path):
    experiment = tiny_experiment(tmp_path, faces=[])
    with pytest.raises(UserError, match='split test: holds no record to answer'):
        evaluate.evaluate(experiment, experiment.trainable, step=0)
