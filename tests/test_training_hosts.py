"""Two processes that talk to each other train as one does, and neither outlives the other."""

import json
import shutil
import signal

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from emola_jax.errors import Preempted
from emola_jax.experiment.checkpoint import read_trainable
from emola_jax.files import checksums
from emola_jax.parallel import sharding
from tests.host_processes import hosts, wait_for
from tests.training_host import read_by, train_all

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('compiled_quickly', 'traced_once')]

SHAPE = (2, 2, 2)
SETTINGS = {'steps': 6, 'segments': 2, 'checkpoint_every': 3, 'keep_checkpoints': 3}


def mesh(shape):
    count = int(np.prod(shape))
    return jax.sharding.Mesh(np.asarray(jax.devices()[:count]).reshape(shape), sharding.MESH_AXES)


def start(workdir, **settings):
    arguments = (str(workdir), json.dumps(SHAPE), json.dumps({**SETTINGS, **settings}))
    return hosts('tests.training_host', *arguments, devices=4)


def losses(workdir):
    return [json.loads(line)['loss'] for line in (workdir / 'metrics.jsonl').open()]


def assert_same_weights(workdir, other):
    ours, theirs = (flatten_dict(read_trainable(folder)[2]) for folder in (workdir, other))
    assert ours.keys() == theirs.keys()
    for path, leaf in ours.items():
        away = np.linalg.norm(leaf - theirs[path]) / np.linalg.norm(theirs[path])
        assert away <= 1e-6, (path, away)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run of one process with eight devices that nothing interrupted."""
    workdir = tmp_path_factory.mktemp('whole')
    train_all(workdir, mesh(SHAPE), **SETTINGS)
    return workdir


@pytest.fixture(scope='module')
def together(tmp_path_factory):
    """The same run by two processes of four devices."""
    workdir = tmp_path_factory.mktemp('together')
    with start(workdir, workers=2) as pair:
        outputs = [host.communicate(timeout=400)[0] for host in pair]
    assert [host.returncode for host in pair] == [0, 0], '\n'.join(outputs)[-4000:]
    return workdir


def test_two_processes_of_four_devices_train_as_one_of_eight(whole, together):
    np.testing.assert_allclose(losses(together), losses(whole), atol=1e-5)
    assert_same_weights(together, whole)
    for step in ('3', '6'):  # summed up by one of them, when both had written
        folder = together / 'checkpoints' / step
        assert checksums.check(folder)
        names = set(checksums.names_below(folder)) - {'commit_success.txt'}
        assert checksums.read(folder).keys() == names
        assert any('process_1' in name for name in names)


def test_each_process_reads_its_share_and_together_they_read_all(whole, together):
    assert read_by(together) == read_by(whole)
    for host in range(2):
        lines = (together / f'read_{host}.jsonl').read_text().splitlines()
        assert all(len(json.loads(line)['read']) == 4 for line in lines)


@pytest.mark.parametrize('shape', [(1, 1, 1), (1, 2, 1), (8, 1, 1)])
def test_a_checkpoint_of_two_processes_goes_on_in_one(shape, whole, together, tmp_path):
    workdir = tmp_path / 'run'
    shutil.copytree(together, workdir)
    shutil.rmtree(workdir / 'checkpoints' / '6')
    for notes in workdir.glob('read_*.jsonl'):
        notes.unlink()
    train_all(workdir, mesh(shape), **SETTINGS)
    assert_same_weights(workdir, whole)
    expected = {place: rows for place, rows in read_by(whole).items() if place[0] > 3}
    assert read_by(workdir) == expected


def test_sigterm_to_one_process_saves_and_stops_both(whole, tmp_path):
    with start(tmp_path, pause=0.4, checkpoint_every=100) as pair:
        wait_for(
            lambda: (
                len((tmp_path / 'read_1.jsonl').open().readlines()) > 1
                if (tmp_path / 'read_1.jsonl').exists()
                else False
            )
        )
        pair[1].send_signal(signal.SIGTERM)
        outputs = [host.communicate(timeout=200)[0] for host in pair]
    assert [host.returncode for host in pair] == [Preempted.EXIT_STATUS] * 2, '\n'.join(outputs)
    assert 'the same command goes on from there' in outputs[0]
    assert 0 < int(read_trainable(tmp_path)[0].name) < 6
    train_all(tmp_path, mesh(SHAPE), **{**SETTINGS, 'checkpoint_every': 100})
    assert_same_weights(tmp_path, whole)


@pytest.mark.parametrize('killed', [0, 1])
def test_a_process_does_not_outlive_the_other(killed, tmp_path):
    notes = tmp_path / 'read_0.jsonl'
    with start(tmp_path, pause=0.4, steps=1000) as pair:
        wait_for(lambda: notes.exists() and len(notes.read_text().splitlines()) > 3)
        pair[killed].kill()
        output = pair[1 - killed].communicate(timeout=60)[0]
    assert pair[1 - killed].returncode == Preempted.EXIT_STATUS, output
    assert f'host {1 - killed} lost another host of the run' in output.splitlines()[-1]
    assert 'Traceback' not in output and 'terminate called' not in output
