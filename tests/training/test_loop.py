import dataclasses
import functools
import json
import math
import os
import shutil
import signal
import tempfile
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

from emola_jax.errors import Preempted, UserError
from emola_jax.experiment.state import TrainState
from emola_jax.models.emola import Emola
from emola_jax.parallel import sharding
from emola_jax.training import loop
from input_pipeline import packing
from tests.host_processes import wait_for
from tests.models.tiny import conversation
from tests.tiny_experiment import MODEL, tiny_experiment, weights

pytestmark = pytest.mark.usefixtures('compiled_quickly', 'traced_once')


WHOLE = {'steps': 7, 'checkpoint_every': 100}


def losses(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows] == list(range(1, len(rows) + 1))
    return [row['loss'] for row in rows]


def mesh(shape):
    return jax.make_mesh(
        shape,
        sharding.MESH_AXES,
        axis_types=(AxisType.Auto,) * 3,
        devices=jax.devices()[: math.prod(shape)],
    )


@functools.cache
def alone(segments):
    """(losses, trainables) of a run on one device."""
    with tempfile.TemporaryDirectory() as workdir:
        state = loop.train(tiny_experiment(Path(workdir), **WHOLE, segments=segments))
        return losses(Path(workdir)), jax.tree.map(np.asarray, state.trainable)


@pytest.fixture(scope='module')
def single():
    return alone(2)


def assert_same_training(workdir, state, expected):
    values, trainable = expected
    np.testing.assert_allclose(losses(workdir), values, atol=1e-5)
    for ours, one in zip(jax.tree.leaves(state.trainable), jax.tree.leaves(trainable), strict=True):
        assert np.linalg.norm(ours - one) <= 1e-5 * np.linalg.norm(one)


@pytest.mark.parametrize(
    ('shape', 'segments'),
    [((8, 1, 1), 1), ((1, 8, 1), 2), ((1, 1, 8), 1), ((2, 2, 2), 2)],
)
def test_eight_devices_train_as_one(shape, segments, tmp_path):
    experiment = tiny_experiment(tmp_path, **WHOLE, segments=segments, mesh=mesh(shape))
    assert_same_training(tmp_path, loop.train(experiment), alone(segments))


def micro_batches(seed=0):
    """A batch of 8 rows in which every row trains another number of tokens."""
    rows = [conversation(MODEL, 12, seed=seed + row) for row in range(8)]
    batch = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    batch['targets'] = np.maximum(np.roll(batch['tokens'], -1, axis=1), 0)
    length = batch['tokens'].shape[1]
    trained = np.arange(length) >= length - 2 - np.arange(8)[:, None]
    return batch | {'loss_weights': trained.astype(np.float32)}


DESCENT = optax.sgd(1.0)


@functools.cache
def descend(accumulate):
    return jax.jit(
        functools.partial(
            loop.train_step,
            model=Emola(MODEL),
            optimiser=DESCENT,
            loss_chunk=32,
            accumulate=accumulate,
        )
    )


def one_step(batch, *, accumulate, shape=(1, 1, 1)):
    """(loss, gradients, tokens) of a step; by plain descent it moves by the gradient itself."""
    where = mesh(shape)
    _, frozen, trainable = weights(where)
    state = TrainState(np.int32(0), trainable, DESCENT.init(trainable))
    rows = sharding.shard_batch(batch, where)
    new, metrics = descend(accumulate)(state, frozen, rows, jax.random.key(0))
    moved = jax.tree.map(lambda old, now: np.asarray(old) - now, trainable, new.trainable)
    return float(metrics['loss']), jax.tree.leaves(moved), int(metrics['tokens'])


def test_accumulated_gradients_are_the_mean_of_the_micro_batches():
    batch = micro_batches()
    parts = [
        one_step({name: leaf[i::2] for name, leaf in batch.items()}, accumulate=1) for i in range(2)
    ]
    for shape in ((1, 1, 1), (2, 2, 2)):
        loss, gradients, tokens = one_step(batch, accumulate=2, shape=shape)
        np.testing.assert_allclose(loss, np.mean([part[0] for part in parts]), rtol=1e-6)
        for ours, *apart in zip(gradients, *(part[1] for part in parts), strict=True):
            np.testing.assert_allclose(ours, np.mean(apart, axis=0), atol=1e-6)
        assert tokens == sum(part[2] for part in parts)
    # The mean over all tokens of the batch is another.
    assert abs(loss - one_step(batch, accumulate=1)[0]) > 1e-3


def filled_up(batch, rows):
    """A partial batch as the pipeline makes it: blank rows behind those that hold something."""
    blank = packing.blank({name: leaf[0] for name, leaf in batch.items()})
    missing = rows - len(batch['tokens'])
    return {
        name: np.concatenate([leaf, np.stack([blank[name]] * missing)])
        for name, leaf in batch.items()
    }


@pytest.mark.parametrize(('rows', 'shape'), [(1, (8, 1, 1)), (5, (1, 1, 1))])
def test_a_partial_batch_has_the_loss_and_gradients_of_its_own_tokens(rows, shape):
    part = {name: leaf[:rows] for name, leaf in micro_batches().items()}
    expected = one_step(part, accumulate=1)
    loss, gradients, tokens = one_step(filled_up(part, 8), accumulate=1, shape=shape)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-6)
    assert tokens == expected[2]
    for ours, own in zip(gradients, expected[1], strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-6)


def test_micro_batches_without_a_row_do_not_count():
    part = {name: leaf[:1] for name, leaf in micro_batches().items()}
    loss, gradients, _ = one_step(filled_up(part, 8), accumulate=4)
    expected = one_step(part, accumulate=1)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-6)
    for ours, own in zip(gradients, expected[1], strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-6)


def test_epochs_end_with_partial_batches_and_a_cut_run_goes_on_the_same(tmp_path):
    settings = {'epochs': 2, 'count': 21, 'checkpoint_every': 1, 'keep_checkpoints': 9}
    whole = loop.train(tiny_experiment(tmp_path / 'whole', **settings))
    assert int(whole.step) == 6  # 8, 8 and 5 rows, twice
    for cut in (2, 3, 5):  # before, right after and before the second partial batch
        shutil.copytree(tmp_path / 'whole', tmp_path / str(cut))
        for later in (tmp_path / str(cut) / 'checkpoints').iterdir():
            if int(later.name) > cut:
                shutil.rmtree(later)
        rest = {**settings, 'checkpoint_every': 100}
        resumed = loop.train(tiny_experiment(tmp_path / str(cut), **rest))
        for ours, uncut in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
            np.testing.assert_array_equal(ours, uncut)
        assert losses(tmp_path / str(cut)) == losses(tmp_path / 'whole')


def test_partial_batches_train_the_same_on_eight_devices(tmp_path):
    settings = {'epochs': 2, 'count': 21, 'checkpoint_every': 100}
    one = loop.train(tiny_experiment(tmp_path / 'one', **settings))
    expected = losses(tmp_path / 'one'), jax.tree.map(np.asarray, one.trainable)
    state = loop.train(tiny_experiment(tmp_path / 'eight', mesh=mesh((8, 1, 1)), **settings))
    assert_same_training(tmp_path / 'eight', state, expected)


def test_fewer_records_than_a_batch_are_no_training(tmp_path):
    experiment = tiny_experiment(tmp_path, epochs=1, count=5)
    plan = dataclasses.replace(loop.planned(experiment), epochs_apart=False)
    with pytest.raises(UserError, match=r'epochs 1 over 5 records makes no batch .*batch_size 8'):
        loop.total_steps(experiment.config, plan)


def test_the_loop_accumulates_as_the_config_says(tmp_path):
    class Asked(Exception):
        pass

    def step(*_, accumulate, **__):
        raise Asked(accumulate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, 'train_step', step)
        with pytest.raises(Asked, match='2'):
            loop.train(tiny_experiment(tmp_path, accumulate=2))


def test_a_batch_that_cannot_be_split_is_refused(tmp_path):
    experiment = tiny_experiment(tmp_path, accumulate=4, mesh=mesh((4, 1, 2)))
    with pytest.raises(UserError, match=r'batch_size 8 must be a multiple of .*accumulate 4 times'):
        loop.train(experiment)


def test_it_learns(single):
    values, _ = single
    assert values[-1] < values[0] - 0.05


def test_a_run_cut_short_goes_on_to_the_same_parameters_bit_for_bit(tmp_path):
    whole = loop.train(tiny_experiment(tmp_path / 'whole', steps=6, segments=2))

    class Cut(Exception):
        pass

    experiment = tiny_experiment(tmp_path / 'cut', steps=6, segments=2)
    original = loop.sharding.place_rows
    calls = 0

    def fail_at_the_fifth(*batch):
        nonlocal calls
        calls += 1
        if calls == 5:
            wait_for(lambda: (tmp_path / 'cut' / 'checkpoints' / '4').is_dir())  # it is on its way
            raise Cut
        return original(*batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.sharding, 'place_rows', fail_at_the_fifth)
        with pytest.raises(Cut):
            loop.train(experiment)
    # Steps 1-4 are done, the checkpoint is of step 4; the log may know more than it.
    resumed = loop.train(tiny_experiment(tmp_path / 'cut', steps=6, segments=2))
    assert int(resumed.step) == 6
    for ours, uncut in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, uncut)
    assert losses(tmp_path / 'cut') == losses(tmp_path / 'whole')


def test_sigterm_saves_the_step_and_the_run_goes_on_bit_for_bit(tmp_path):
    settings = {'steps': 6, 'segments': 2, 'checkpoint_every': 100}
    whole = loop.train(tiny_experiment(tmp_path / 'whole', **settings))
    original, before = loop.sharding.place_rows, signal.getsignal(signal.SIGTERM)
    calls = 0

    def told_at_the_third(*batch):
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.sharding, 'place_rows', told_at_the_third)
        with pytest.raises(Preempted, match='after step 3 of 6'):
            loop.train(tiny_experiment(tmp_path / 'cut', **settings))
    assert signal.getsignal(signal.SIGTERM) == before
    resumed = loop.train(tiny_experiment(tmp_path / 'cut', **settings))
    for ours, uncut in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, uncut)
    assert losses(tmp_path / 'cut') == losses(tmp_path / 'whole')


def test_a_run_does_not_go_on_with_other_batches(tmp_path):
    loop.train(tiny_experiment(tmp_path, steps=2))
    with pytest.raises(UserError, match=r'was trained on batches of plan \w+, but .* plan \w+'):
        loop.train(tiny_experiment(tmp_path, steps=4, count=22))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_records(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=4)
    split = experiment.data.splits['train']
    object.__setattr__(split.source[0], 'landmarks', np.full(212, np.nan, np.float32))
    with pytest.raises(UserError, match=r'step \d: loss and grad_norm not finite.*face-000'):
        loop.train(experiment)


def test_the_base_of_a_checkpoint_must_be_the_base_of_the_run(tmp_path):
    loop.train(tiny_experiment(tmp_path, steps=2))
    other = tiny_experiment(tmp_path, steps=4)
    other = dataclasses.replace(other, base=dataclasses.replace(other.base, fingerprint='other'))
    with pytest.raises(UserError, match='was trained on base weights'):
        loop.train(other)


def test_frozen_parameters_are_in_no_checkpoint_and_do_not_change(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=2)
    before = jax.tree.map(np.asarray, experiment.frozen)
    state = loop.train(experiment)
    for ours, old in zip(jax.tree.leaves(experiment.frozen), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(ours, old)
    assert 'vision' not in state.trainable
    assert set(state.trainable['llm']['layers']['q']) == {'lora_a', 'lora_b'}


def test_unrolled_layers_train_the_same_parameters_into_the_same_layout(single, tmp_path):
    state = loop.train(tiny_experiment(tmp_path, **WHOLE, segments=2, unroll=True))
    assert_same_training(tmp_path, state, single)
