import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.conversation import VISUAL_TOKEN
from input_pipeline.pipeline import plan_rows, train_batches
from tests.input_pipeline.fakes import encoder, record

RECORDS = [record(number) for number in range(11)]
ALL = np.arange(len(RECORDS))


def first_batches(count, coder, indices=ALL, *, lengths=None, **share):
    plan = plan_rows(RECORDS, indices, coder, lengths=lengths)
    iterator = iter(train_batches(RECORDS, coder, plan, **share))
    batches = [next(iterator) for _ in range(count)]
    iterator.close()
    return batches


def assert_same(batches, others):
    for one, other in zip(batches, others, strict=True):
        assert one.keys() == other.keys()
        for name, rows in one.items():
            np.testing.assert_array_equal(rows, other[name])


def test_shapes_and_dtypes_are_those_of_the_contract():
    (batch,) = first_batches(1, encoder(segments=3, length=400))
    kinds = {name: (rows.shape, rows.dtype.name) for name, rows in batch.items()}
    assert kinds == {
        'images': ((2, 3, 8, 8, 3), 'uint8'),
        'landmarks': ((2, 3, 212), 'float32'),
        'tokens': ((2, 400), 'int32'),
        'targets': ((2, 400), 'int32'),
        'loss_weights': ((2, 400), 'float32'),
        'positions': ((2, 400), 'int32'),
        'segment_ids': ((2, 400), 'int32'),
        'record_index': ((2, 3), 'int32'),
    }


@pytest.mark.parametrize('segments', [1, 3])
def test_every_conversation_comes_out_whole_with_its_own_picture(segments):
    coder = encoder(segments=segments, length=400)
    for batch in first_batches(6, coder):
        for row in range(2):
            for place, index in enumerate(batch['record_index'][row]):
                inside = batch['segment_ids'][row] == place + 1
                if index < 0:
                    assert not inside.any()
                    continue
                talk = coder.conversation(RECORDS[index])
                np.testing.assert_array_equal(batch['tokens'][row][inside], talk.tokens)
                np.testing.assert_array_equal(batch['targets'][row][inside], talk.targets)
                np.testing.assert_array_equal(batch['loss_weights'][row][inside], talk.loss_weights)
                np.testing.assert_array_equal(
                    batch['positions'][row][inside], np.arange(len(talk.tokens))
                )
                assert (batch['tokens'][row][inside] == VISUAL_TOKEN).sum() == 3
                assert batch['images'][row, place, 0, 0, 0] == index
                np.testing.assert_allclose(batch['landmarks'][row, place], RECORDS[index].landmarks)
            outside = batch['segment_ids'][row] == 0
            assert (batch['loss_weights'][row][outside] == 0).all()


def test_an_epoch_shows_each_chosen_record_once_and_no_other():
    chosen = np.asarray([0, 2, 3, 5, 7, 8])
    batches = first_batches(3, encoder(), indices=chosen)
    seen = np.concatenate([batch['record_index'].ravel() for batch in batches])
    assert sorted(seen) == sorted(chosen)


KINDS = [
    {'segments': 1},
    {'segments': 3},
    {'length_buckets': (70, 76)},
    {'epochs_apart': True},
    {'epochs_apart': True, 'segments': 3},
]


@pytest.mark.parametrize('kind', KINDS)
def test_a_run_goes_on_with_the_very_next_batch(kind):
    coder = encoder(length=400, landmark_noise=0.03, **kind)
    whole = first_batches(9, coder)
    for seen in (1, 4, 8):
        assert_same(first_batches(9 - seen, coder, first=seen), whole[seen:])


@pytest.mark.parametrize('kind', KINDS)
def test_hosts_read_together_what_one_reads_alone(kind):
    coder = encoder(batch_size=4, length=400, landmark_noise=0.03, **kind)
    alone = first_batches(6, coder)
    for shares in ([(0, 1), (2, 3)], [(0, 3), (1,), (2,)], [(3, 1, 0, 2)]):
        for rows in shares:
            share = first_batches(6, coder, rows=rows)
            assert_same(share, [{n: b[n][list(rows)] for n in b} for b in alone])


@pytest.mark.slow
def test_reading_processes_change_nothing():
    coder = encoder(segments=3, length=400, landmark_noise=0.03)
    workers = encoder(segments=3, length=400, landmark_noise=0.03, workers=2)
    assert_same(first_batches(5, workers, first=3), first_batches(8, coder)[3:])


BUCKETS = {'length': 256, 'length_buckets': (70, 76)}


def test_a_batch_takes_the_smallest_length_that_it_fits_and_is_else_what_it_was():
    coder = encoder(**BUCKETS)
    tokens = [len(coder.conversation(r).tokens) for r in RECORDS]
    plain, bucketed = (first_batches(20, encoder(**kind)) for kind in ({}, BUCKETS))
    for full, short in zip(plain, bucketed, strict=True):
        length = short['tokens'].shape[1]
        longest = max(tokens[index] for index in full['record_index'].ravel())
        assert length == min(size for size in (70, 76, 256) if size >= longest)
        for name, rows in full.items():
            per_token = rows.ndim == 2 and name != 'record_index' and rows.shape[1] == 256
            np.testing.assert_array_equal(short[name], rows[:, :length] if per_token else rows)
            assert not per_token or not rows[:, length:].any()
    assert len({batch['tokens'].shape[1] for batch in bucketed}) > 1


def test_lengths_that_are_known_need_not_be_counted():
    coder = encoder(**BUCKETS)
    counts = np.asarray([len(coder.conversation(r).tokens) for r in RECORDS])
    assert_same(first_batches(12, coder, lengths=counts), first_batches(12, coder))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'segments': 2}, 'data.segments is 2'),
        ({'length_buckets': (70, 300)}, r'\[70, 300\] must lie between 1 and data.length, 256'),
        ({'length_buckets': (0,)}, 'must lie between 1'),
    ],
)
def test_buckets_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        encoder(**BUCKETS | changes)
