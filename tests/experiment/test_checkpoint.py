import json
import shutil

import jax
import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.evaluation import evaluate
from emola_jax.experiment import prepare as experiments
from emola_jax.experiment.checkpoint import Checkpoints, abstract_state, read_trainable
from emola_jax.files import checksums
from emola_jax.files.whole import read_jsonl
from emola_jax.training import loop, validation
from emola_jax.training.optimiser import OptimiserConfig, make_optimiser
from tests.files.test_checksums import flip
from tests.made_scores import made
from tests.tiny_experiment import tiny_experiment

pytestmark = pytest.mark.usefixtures('compiled_quickly')


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_goes_on(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=4)
    loop.train(experiment)
    for path in (tmp_path / 'checkpoints' / '4' / 'state').rglob('*'):
        if path.is_file() and path.parent.name == 'd':
            path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r'checkpoints/4: is damaged.*remove that folder'):
        loop.train(tiny_experiment(tmp_path, steps=4))
    shutil.rmtree(tmp_path / 'checkpoints' / '4')
    assert int(loop.train(tiny_experiment(tmp_path, steps=4)).step) == 4


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A run with checkpoints 1, 2 and 3, of which 1 has a score; its experiment and last state."""
    workdir = tmp_path_factory.mktemp('saved')
    experiment = tiny_experiment(workdir)
    first = loop.new_state(experiment, make_optimiser(OptimiserConfig(), 4))
    checkpoints = Checkpoints(workdir, keep=3, metadata=experiments.metadata(experiment))
    for step in (1, 2, 3):
        state = jax.tree.map(lambda leaf, step=step: leaf + leaf.dtype.type(step), first)
        state = state.replace(step=first.step + step)
        checkpoints.save(state, 'plan', 1.0 if step == 1 else None)
    checkpoints.close()
    return workdir, experiment, state


@pytest.fixture
def run(saved, tmp_path):
    """A copy of it that may be damaged, and ways to read it: resume, evaluate, predict."""
    workdir, experiment, state = saved
    shutil.copytree(workdir, tmp_path / 'run')

    def opened(read):
        metadata = experiments.metadata(experiment)
        checkpoints = Checkpoints(tmp_path / 'run', keep=3, metadata=metadata)
        try:
            return read(checkpoints, abstract_state(state))
        finally:
            checkpoints.close()

    ways = {
        'resume': lambda: opened(lambda found, abstract: found.restore(abstract, 'plan')),
        'evaluate': lambda: opened(lambda found, abstract: found.restore_trainable(abstract)),
        'predict, convert, calibrate': lambda: read_trainable(tmp_path / 'run'),
    }
    return tmp_path / 'run' / 'checkpoints', ways


def files_of(step_folder):
    names = checksums.names_below(step_folder)
    assert set(checksums.read(step_folder)) == set(names) - {'commit_success.txt'}
    return [name for name in names if name != 'commit_success.txt']


def test_every_file_of_every_checkpoint_has_its_checksum(run):
    folder, ways = run
    for step in ('1', '2', '3'):
        assert {'_CHECKPOINT_METADATA', 'metadata/metadata'} < set(files_of(folder / step))
        assert checksums.check(folder / step)
        assert not list((folder / step).glob(f'*/{checksums.SUMS_FILE}'))
    assert int(ways['resume']().step) == 3
    assert ways['predict, convert, calibrate']()[0] == folder / '3'


@pytest.mark.parametrize('way', ['resume', 'evaluate', 'predict, convert, calibrate'])
def test_every_reader_names_a_flipped_bit_and_the_checkpoint_to_go_on_from(run, way):
    folder, ways = run
    rng = np.random.default_rng(0)
    for name in [*files_of(folder / '3'), checksums.SUMS_FILE]:
        whole = (folder / '3' / name).read_bytes()
        flip(folder / '3' / name, int(rng.integers(8 * len(whole))))
        with pytest.raises(UserError, match='is damaged') as caught:
            ways[way]()
        said = str(caught.value)
        assert f'{folder / "3"}' in said and name in said
        assert said.endswith(f'remove that folder to go on from {folder / "2"}, which is intact')
        (folder / '3' / name).write_bytes(whole)
    ways[way]()


def test_only_an_intact_checkpoint_is_recommended(run):
    folder, ways = run
    for step in ('3', '2'):
        flip(folder / step / 'metadata' / 'metadata', 99)
    shutil.rmtree(folder / '2' / 'data')
    with pytest.raises(UserError, match=rf'3: is damaged.* go on from {folder}/1, which is intact'):
        ways['predict, convert, calibrate']()
    (folder / '1' / 'state' / '_METADATA').unlink()
    with pytest.raises(UserError, match='no earlier checkpoint of the run is intact'):
        ways['predict, convert, calibrate']()


def test_a_damaged_score_of_an_older_checkpoint_is_named(run):
    folder, ways = run
    flip(folder / '1' / 'metrics' / 'metrics', 90)
    with pytest.raises(UserError, match=rf'{folder}/1: is damaged: metrics/metrics'):
        ways['resume']()


def test_an_old_checkpoint_that_a_kill_left_half_removed_stops_nothing(run):
    folder, ways = run
    (folder / '1' / 'metrics' / 'metrics').unlink()
    (folder / '2' / checksums.SUMS_FILE).unlink()
    shutil.rmtree(folder / '2' / 'state')
    for read in ways.values():
        read()
    flip(folder / '3' / 'state' / '_METADATA')
    with pytest.raises(UserError, match='no earlier checkpoint of the run is intact'):
        ways['evaluate']()


def test_checksums_that_are_gone_are_missed(run):
    folder, ways = run
    (folder / '3' / checksums.SUMS_FILE).unlink()
    for read in ways.values():
        with pytest.raises(UserError, match=r'3: is damaged: SHA256SUMS is missing; .*2, which'):
            read()


def test_a_checkpoint_of_an_older_version_is_read_and_said_to_be_unchecked(run, capsys):
    folder, ways = run
    for step in ('1', '2', '3'):
        (folder / step / checksums.SUMS_FILE).unlink()
        path = folder / step / 'metadata' / 'metadata'
        metadata = json.loads(path.read_text())
        assert metadata.pop('checksums') == checksums.SUMS_FILE
        path.write_text(json.dumps(metadata))
    for read in ways.values():
        read()
        said = capsys.readouterr().err.splitlines()
        line = f'{folder / "3"}: not checked, since an older version saved it without checksums'
        assert said == [line]


@pytest.mark.parametrize('metadata', ['[]', '{}', '{"base": null, "config": {}}', '{"ba'])
def test_damaged_metadata_of_an_older_version_are_named(run, metadata):
    folder, ways = run
    (folder / '3' / checksums.SUMS_FILE).unlink()
    (folder / '3' / 'metadata' / 'metadata').write_text(metadata)
    for read in ways.values():
        with pytest.raises(UserError, match=rf'3(/metadata)?: is .* go on from {folder}/2'):
            read()


def test_a_workdir_without_a_checkpoint_says_to_train_first(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=4)
    state = loop.new_state(experiment, make_optimiser(OptimiserConfig(), 4))
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
    newest = loop.train(experiment)
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
    state = loop.train(experiment)
    checkpoints = Checkpoints(tmp_path, keep=1, metadata=experiments.metadata(experiment))
    with pytest.raises(UserError, match=r'no checkpoint has a score \(train.validate.every\)'):
        checkpoints.restore_trainable(abstract_state(state), best=True)
    checkpoints.close()


def test_a_validation_is_the_mean_of_both_tasks_of_its_own_split(tmp_path, monkeypatch):
    validate = {'every': 2, 'split': 'test', 'limit': 6}
    asked = {'split': 'train'}
    experiment = tiny_experiment(tmp_path, steps=2, validate=validate, evaluation=asked)
    assert [validation.is_due(experiment, step) for step in (1, 2, 3, 4)] == [0, 1, 0, 1]
    validation.score(experiment, experiment.trainable, 2)
    rows = read_jsonl(tmp_path / 'validation' / '2' / 'predictions.jsonl')
    assert len(rows) == 6
    scores = {task: made(None, None, value) for task, value in (('emotion', 40.0), ('au', 61.0))}
    monkeypatch.setattr(evaluate, 'evaluate', lambda asked, *_, **__: scores)
    assert validation.score(experiment, experiment.trainable, 4) == 50.5
