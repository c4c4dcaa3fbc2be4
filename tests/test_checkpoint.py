import shutil

import pytest

from emola_jax import evaluate, train, validation
from emola_jax import experiment as experiments
from emola_jax.checkpoint import Checkpoints, abstract_state
from emola_jax.errors import UserError
from emola_jax.files import read_jsonl
from emola_jax.optim import OptimiserConfig, make_optimiser
from tests.tiny_experiment import tiny_experiment


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_goes_on(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=4)
    train.train(experiment)
    for path in (tmp_path / 'checkpoints' / '4' / 'state').rglob('*'):
        if path.is_file() and path.parent.name == 'd':
            path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r'checkpoints/4: is damaged.*remove that folder'):
        train.train(tiny_experiment(tmp_path, steps=4))
    shutil.rmtree(tmp_path / 'checkpoints' / '4')
    assert int(train.train(tiny_experiment(tmp_path, steps=4)).step) == 4


def test_a_workdir_without_a_checkpoint_says_to_train_first(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=4)
    state = train.new_state(experiment, make_optimiser(OptimiserConfig(), 4))
    checkpoints = Checkpoints(tmp_path, keep=1, metadata=experiments.metadata(experiment))
    with pytest.raises(UserError, match='no complete checkpoint; train first'):
        checkpoints.restore_trainable(abstract_state(state))
    checkpoints.close()


def test_the_best_checkpoint_stays_beside_the_newest(tmp_path, monkeypatch):
    scores = {2: 1.0, 4: 3.0, 6: 2.0, 8: 0.5}
    monkeypatch.setattr(validation, 'score', lambda experiment, trainable, step: scores[step])
    settings = {'keep_checkpoints': 1, 'checkpoint_every': 100}
    validate = {'every': 2, 'split': 'test', 'limit': 4}
    experiment = tiny_experiment(tmp_path, steps=9, **settings, validate=validate)
    newest = train.train(experiment)
    folder = tmp_path / 'checkpoints'
    assert sorted(path.name for path in folder.iterdir() if path.name.isdecimal()) == ['4', '9']
    checkpoints = Checkpoints(tmp_path, keep=1, metadata=experiments.metadata(experiment))
    abstract = abstract_state(newest)
    assert checkpoints.best_step() == 4
    assert int(checkpoints.restore_trainable(abstract).step) == 9
    assert int(checkpoints.restore_trainable(abstract, best=True).step) == 4
    checkpoints.close()


def test_without_a_score_there_is_no_best_checkpoint(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=2)
    state = train.train(experiment)
    checkpoints = Checkpoints(tmp_path, keep=1, metadata=experiments.metadata(experiment))
    with pytest.raises(UserError, match=r'no checkpoint has a score \(train.validate.every\)'):
        checkpoints.restore_trainable(abstract_state(state), best=True)
    checkpoints.close()


def test_a_validation_is_the_mean_of_both_tasks_of_its_own_split(tmp_path, monkeypatch):
    validate = {'every': 2, 'split': 'test', 'limit': 6}
    experiment = tiny_experiment(tmp_path, steps=2, validate=validate)
    experiment.config.eval.split = 'train'
    assert [validation.is_due(experiment, step) for step in (1, 2, 3, 4)] == [0, 1, 0, 1]
    validation.score(experiment, experiment.trainable, 2)
    rows = read_jsonl(tmp_path / 'validation' / '2' / 'predictions.jsonl')
    assert len(rows) == 6
    scores = {
        task: {'strict': {'s_rege': value}, 'reference': {'s_rege': 0.0}}
        for task, value in (('emotion', 40.0), ('au', 61.0))
    }
    monkeypatch.setattr(evaluate, 'evaluate', lambda asked, *_, **__: scores)
    assert validation.score(experiment, experiment.trainable, 4) == 50.5
