import collections
import dataclasses
import itertools
import pickle

import numpy as np
import pytest

from input_pipeline.row_plan import PlannedBatches, RowPlan

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
