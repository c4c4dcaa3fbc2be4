import grain
import numpy as np
import pytest

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
