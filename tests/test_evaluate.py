import json

import numpy as np
import pytest

from emola_jax import evaluate, generate
from emola_jax.errors import UserError
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
    assert [row['id'] for row in rows] == [f'face-{number:03d}' for number in range(20)]
    assert scores['emotion']['n'] == scores['au']['n'] == 10
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


def test_eight_devices_write_what_one_writes(calm, tmp_path):
    experiment = tiny_experiment(tmp_path, count=20, devices=8)
    evaluate.evaluate(experiment, experiment.trainable, step=0)
    assert answers(tmp_path) == answers(calm[0])
