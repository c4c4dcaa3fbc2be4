"""Packed rows of the real pipeline train exactly as the same conversations one a row."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emola_jax.models.emola import Emola
from input_pipeline import packing
from input_pipeline.batch_plan import Place
from input_pipeline.conversation import TEMPLATES
from input_pipeline.pipeline import encode, plan_rows, train_batches
from tests.models.tiny import random_params, run
from tests.tiny_experiment import MODEL, records, tiny_experiment
from tests.training.test_loop import one_step

pytestmark = pytest.mark.usefixtures('compiled_quickly')

RECORDS = records(24)
PARAMS = random_params(MODEL)


@pytest.fixture(scope='module')
def coder(tmp_path_factory):
    made = tiny_experiment(tmp_path_factory.mktemp('run')).data.encoder
    config = dataclasses.replace(made.config, segments=3, length=320, batch_size=4, packing_bins=4)
    return dataclasses.replace(made, config=config, template=TEMPLATES['chatml'])


@pytest.fixture(scope='module')
def packed(coder):
    iterator = iter(train_batches(RECORDS, coder, plan_rows(RECORDS, np.arange(24), coder)))
    batch = next(iterator)
    iterator.close()
    assert (batch['record_index'] >= 0).sum() > len(batch['record_index']) * 2  # it does pack
    return batch


def alone(coder, index, length=320):
    return packing.join([encode(RECORDS, Place(index, 0), coder)], length=length, segments=1)


def batched(rows):
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def inputs(batch):
    return {name: leaf for name, leaf in batch.items() if name != 'record_index'}


def token_losses(batch):
    logits = run(Emola(MODEL), PARAMS, inputs(batch))
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), batch['targets'][..., None], axis=-1)
    return -np.asarray(chosen[..., 0]) * batch['loss_weights']


def sample_losses(batch):
    """{record: mean loss of its answer}."""
    losses, found = token_losses(batch), {}
    for row, place in zip(*np.nonzero(batch['record_index'] >= 0), strict=True):
        own = batch['segment_ids'][row] == place + 1
        total = batch['loss_weights'][row][own].sum()
        found[int(batch['record_index'][row, place])] = losses[row][own].sum() / total
    return found


def test_every_sample_has_the_loss_it_has_alone(coder, packed):
    together = sample_losses(packed)
    rows = batched([alone(coder, index) for index in together])
    apart = sample_losses(rows)
    assert together.keys() == apart.keys()
    assert np.ptp(list(apart.values())) > 1e-3  # they differ among themselves
    for index, loss in apart.items():
        assert abs(together[index] - loss) < 1e-5, index


@pytest.mark.parametrize('accumulate', [1, 2])
def test_gradients_are_those_of_unpacked_rows(coder, packed, accumulate):
    parts = [
        [int(index) for index in packed['record_index'][part::accumulate].ravel() if index >= 0]
        for part in range(accumulate)
    ]
    blank = {name: np.zeros_like(leaf) for name, leaf in alone(coder, 0).items()}
    size = max(map(len, parts))
    filled = [
        [alone(coder, index) for index in part] + [blank] * (size - len(part)) for part in parts
    ]
    # Part i of an accumulated batch is rows i, i + count, ….
    unpacked = batched([row for rows in zip(*filled, strict=True) for row in rows])
    loss, ours, _ = one_step(inputs(packed), accumulate=accumulate)
    expected, theirs, _ = one_step(inputs(unpacked), accumulate=accumulate)
    assert abs(loss - expected) < 1e-5
    for one, other in zip(ours, theirs, strict=True):
        assert np.linalg.norm(one - other) <= 1e-4 * np.linalg.norm(other)


@pytest.mark.parametrize('changed', ['images', 'landmarks', 'tokens'])
def test_a_change_in_one_conversation_is_seen_in_no_other(packed, changed):
    row, place = 1, 1
    other = {name: leaf.copy() for name, leaf in packed.items()}
    own = packed['segment_ids'] == place + 1
    own[np.arange(len(own)) != row] = False
    if changed == 'tokens':
        text = own & (packed['tokens'] >= 0)
        other['tokens'][text] = (other['tokens'][text] + 5) % 250
    else:
        other[changed][row, place] = 0
    before, after = sample_losses(packed), sample_losses(other)
    touched = int(packed['record_index'][row, place])
    assert abs(before[touched] - after[touched]) > 1e-5
    for index in before.keys() - {touched}:
        assert before[index] == after[index]


def test_a_short_bucket_has_the_loss_and_gradient_of_the_full_length(coder):
    chosen = range(4)
    longest = max(len(coder.conversation(RECORDS[i]).tokens) for i in chosen)
    results = []
    for length in (longest, 320):
        batch = batched([alone(coder, index, length) for index in chosen])
        results.append(one_step(inputs(batch), accumulate=1))
    (loss, ours, tokens), (expected, theirs, wanted) = results
    assert abs(loss - expected) < 1e-6
    assert tokens == wanted
    for one, other in zip(ours, theirs, strict=True):
        assert np.linalg.norm(one - other) <= 1e-5 * np.linalg.norm(other)
