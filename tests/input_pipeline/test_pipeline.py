import grain
import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.conversation import VISUAL_TOKEN
from input_pipeline.pipeline import train_batches
from tests.input_pipeline.fakes import encoder, record

RECORDS = [record(number) for number in range(11)]
ALL = np.arange(len(RECORDS))


def first_batches(count, coder, indices=ALL, **hosts):
    iterator = iter(train_batches(RECORDS, indices, coder, **hosts))
    batches = [next(iterator) for _ in range(count)]
    iterator.close()
    return batches


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


def test_two_hosts_share_an_epoch_without_overlap():
    seen = []
    for host in range(2):
        batches = first_batches(5, encoder(), ALL[:10], process_index=host, process_count=2)
        assert batches[0]['tokens'].shape == (1, 256)
        seen.extend(int(i) for batch in batches for i in batch['record_index'].ravel())
    assert sorted(seen) == list(range(10))


@pytest.mark.parametrize('segments', [1, 3])
def test_a_restored_iterator_goes_on_with_the_very_next_batch(segments):
    coder = encoder(segments=segments, length=400, landmark_noise=0.03)
    grain.experimental.assert_equal_output_after_checkpoint(
        grain.experimental.LimitIterDataset(train_batches(RECORDS, ALL, coder), 8)
    )


def test_two_hosts_read_together_what_one_reads_alone():
    coder = encoder(length=400)
    alone = np.concatenate([b['tokens'] for b in first_batches(6, coder)])
    shares = [
        np.concatenate(
            [b['tokens'] for b in first_batches(6, coder, process_index=h, process_count=2)]
        )
        for h in range(2)
    ]
    np.testing.assert_array_equal(np.stack(shares, axis=1).reshape(alone.shape), alone)


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


def test_hosts_choose_the_same_row_lengths_with_and_without_a_table_of_lengths():
    coder = encoder(**BUCKETS)
    counts = np.asarray([len(coder.conversation(r).tokens) for r in RECORDS])
    hosts = [{'process_index': h, 'process_count': 2} for h in range(2)]
    runs = [first_batches(12, coder)]
    runs += [first_batches(12, coder, **host) for host in hosts]
    runs += [first_batches(12, coder, lengths=counts, **host) for host in hosts]
    lengths = [[batch['tokens'].shape[1] for batch in run] for run in runs]
    assert all(other == lengths[0] for other in lengths)


def test_a_restored_iterator_goes_on_in_the_very_next_bucket():
    grain.experimental.assert_equal_output_after_checkpoint(
        grain.experimental.LimitIterDataset(train_batches(RECORDS, ALL, encoder(**BUCKETS)), 8)
    )


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
