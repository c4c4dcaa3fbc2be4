import collections
import dataclasses
import itertools
import pickle

import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.batch_plan import PlannedBatches, RowPlan

RNG = np.random.default_rng(0)
PLAN = RowPlan(
    indices=np.arange(3, 203),
    lengths=RNG.integers(40, 240, 200),
    batch_size=4,
    length=320,
    segments=4,
    bins=16,
    buckets=(),
    seed=0,
)


def first(plan, count):
    return list(itertools.islice(plan.batches(), count))


def places(batches):
    return [place for batch in batches for row in batch.rows for place in row]


def test_packed_rows_hold_what_fits_and_nothing_is_lost_or_doubled():
    lengths = dict(zip(PLAN.indices.tolist(), PLAN.lengths.tolist(), strict=True))
    batches = first(PLAN, 60)
    for batch in batches:
        assert len(batch.rows) == 4 and batch.length == 320
        for row in batch.rows:
            assert 1 <= len(row) <= 4
            assert sum(lengths[place.record] for place in row) <= 320
    turns = [place.turn for place in places(batches)]
    assert len(set(turns)) == len(turns)
    # What is missing of the turns so far still waits in an open row.
    assert max(turns) - len(turns) < 4 * PLAN.bins
    order = list(itertools.islice(PLAN.places(), max(turns) + 1))
    assert all(order[place.turn] == place for place in places(batches))


def test_packing_wastes_little():
    batches = first(PLAN, 60)
    lengths = dict(zip(PLAN.indices.tolist(), PLAN.lengths.tolist(), strict=True))
    used = sum(lengths[place.record] for place in places(batches))
    assert used / (60 * 4 * 320) > 0.9


def test_no_conversation_waits_for_long():
    newest = 0
    for batch in first(PLAN, 200):
        turns = [place.turn for row in batch.rows for place in row]
        newest = max(newest, *turns)
        assert newest - min(turns) <= 2 * PLAN.bins * PLAN.segments


def test_every_epoch_shows_every_record_in_another_order():
    plan = dataclasses.replace(PLAN, segments=1)
    batches = first(plan, 100)
    seen = [place.record for place in places(batches)]
    assert sorted(seen[:200]) == sorted(seen[200:]) == PLAN.indices.tolist()
    assert seen[:200] != seen[200:]


def test_batches_are_the_same_in_any_order_and_in_another_process():
    expected = first(PLAN, 30)
    asked = PlannedBatches(PLAN)
    copied = pickle.loads(pickle.dumps(asked))
    for number in (7, 3, 29, 0):
        assert asked[number] == expected[number] == copied[number]


@pytest.mark.parametrize(
    'change',
    [
        {'seed': 1},
        {'batch_size': 8},
        {'bins': 8},
        {'segments': 3},
        {'length': 321},
        {'buckets': (256,)},
        {'lengths': PLAN.lengths + 1},
        {'indices': PLAN.indices + 1},
    ],
)
def test_another_plan_has_another_fingerprint(change):
    assert PLAN.fingerprint() == dataclasses.replace(PLAN).fingerprint()
    assert dataclasses.replace(PLAN, **change).fingerprint() != PLAN.fingerprint()


def test_seeds_shuffle_differently():
    counts = collections.Counter(
        tuple(place.record for place in places(first(dataclasses.replace(PLAN, seed=seed), 3)))
        for seed in range(4)
    )
    assert len(counts) == 4


APART = dataclasses.replace(PLAN, segments=1, batch_size=64, epochs_apart=True)


@pytest.mark.parametrize(('records', 'steps'), [(15838, 248), (19474, 305), (128, 2), (63, 1)])
def test_an_epoch_has_as_many_steps_as_in_the_released_trainer(records, steps):
    # ceil(n / 64): what its log says of FABA-Instruct's 15,838 and 19,474 training entries.
    plan = dataclasses.replace(APART, indices=np.arange(records), lengths=np.full(records, 9))
    assert plan.steps(1) == steps
    assert plan.steps(3) == 3 * steps
    whole = dataclasses.replace(plan, epochs_apart=False)
    assert whole.steps(3) == 3 * records // 64


@pytest.mark.parametrize('segments', [1, 4])
def test_an_epoch_apart_shows_every_record_once_and_ends_with_what_is_left(segments):
    plan = dataclasses.replace(APART, segments=segments, batch_size=7)
    steps = plan.steps(1)
    batches = first(plan, plan.steps(2))
    epochs = batches[:steps], batches[steps:]
    orders = []
    for epoch in epochs:
        assert [len(batch.rows) for batch in epoch] == [7] * len(epoch)
        filled = [sum(map(bool, batch.rows)) for batch in epoch]
        assert filled[:-1] == [7] * (len(epoch) - 1) and 1 <= filled[-1] <= 7
        assert all(batch.rows[0] for batch in epoch)
        orders.append([place.record for place in places(epoch)])
        assert sorted(orders[-1]) == plan.indices.tolist()
    assert orders[0] != orders[1]
    turns = [place.turn for place in places(batches)]
    assert sorted(turns) == list(range(2 * len(plan.indices)))
    if segments == 1:
        assert filled[-1] == 200 % 7


@pytest.mark.parametrize('segments', [1, 4])
def test_steps_show_every_record_as_often_as_there_are_epochs(segments):
    plan = dataclasses.replace(PLAN, segments=segments)
    for epochs in (1, 3):
        shown = len(places(first(plan, plan.steps(epochs))))
        assert epochs * 200 - plan.bins * segments - 4 * segments <= shown <= epochs * 200 + 64


def test_epochs_apart_are_another_plan_and_old_fingerprints_hold():
    assert dataclasses.replace(PLAN, epochs_apart=True).fingerprint() != PLAN.fingerprint()
    assert PLAN.fingerprint() == 'e890960628eb456f'  # of runs made before the choice


def test_a_plan_of_nothing_is_refused():
    with pytest.raises(UserError, match='no usable record'):
        dataclasses.replace(PLAN, indices=np.arange(0), lengths=np.arange(0))
