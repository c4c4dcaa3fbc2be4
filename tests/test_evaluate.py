import json

import numpy as np
import pytest

from emola_jax import evaluate
from emola_jax.files import read_jsonl
from tests.tiny_experiment import tiny_experiment


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
    assert [row['id'] for row in rows] == [
        f'face-{number:03d}' for task in (0, 1) for number in range(task, 20, 2)
    ]
    assert scores['emotion']['n'] == scores['au']['n'] == 10
    assert {row['label'] for row in rows if row['task'] == 'au'} == {'4, 9'}
    for row in rows:
        assert (workdir / row['image']).is_file()


@pytest.mark.parametrize('kept_bytes', [0, 1, 700, 2500, -3])
def test_answers_cut_off_anywhere_are_completed_to_the_same_file(calm, kept_bytes, tmp_path):
    workdir, scores = calm
    experiment = tiny_experiment(tmp_path, count=20)
    evaluate.evaluate(experiment, experiment.trainable, step=0)
    path = tmp_path / 'predictions.jsonl'
    whole = path.read_bytes()
    path.write_bytes(whole[:kept_bytes])
    again = evaluate.evaluate(experiment, experiment.trainable, step=0)
    assert path.read_bytes() == whole == (workdir / 'predictions.jsonl').read_bytes()
    assert again == scores


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


def test_eight_devices_write_what_one_writes(calm, tmp_path):
    experiment = tiny_experiment(tmp_path, count=20, devices=8)
    evaluate.evaluate(experiment, experiment.trainable, step=0)
    assert answers(tmp_path) == answers(calm[0])
