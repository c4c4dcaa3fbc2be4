import numpy as np

from input_pipeline.prompt_batches import bucket, prompt_batch, prompt_length
from tests.input_pipeline.fakes import encoder, record


def test_prompts_end_at_the_right_edge_and_padding_is_marked():
    coder = encoder()
    records = [record(0, instruction='Short?'), record(1, instruction='A longer question?')]
    length = bucket(max(prompt_length(face, coder) for face in records))
    batch = prompt_batch([records[0], None, records[1]], coder, length=length)
    assert batch['tokens'].shape == (3, length)
    for row, face in ((0, records[0]), (2, records[1])):
        size = prompt_length(face, coder)
        assert (batch['segment_ids'][row] > 0).sum() == size
        prompt = coder.conversation(face).tokens[:size]
        np.testing.assert_array_equal(batch['tokens'][row, -size:], prompt)
        np.testing.assert_array_equal(batch['positions'][row, -size:], np.arange(size))
        assert (batch['segment_ids'][row, :-size] == 0).all()
    for name, rows in batch.items():
        assert not rows[1].any(), name


def test_noise_on_an_evaluated_face_is_the_same_in_every_batch():
    coder = encoder(landmark_noise=0.03)
    faces = [record(number) for number in range(3)]
    together = prompt_batch(faces, coder, length=200)['landmarks']
    alone = prompt_batch(faces[2:], coder, length=200)['landmarks']
    np.testing.assert_array_equal(together[2], alone[0])
    assert not np.array_equal(alone[0, 0], faces[2].landmarks)


def test_few_lengths_are_compiled_and_little_of_them_is_padding():
    lengths = np.arange(1, 4097)
    padded = np.array([bucket(int(length)) for length in lengths])
    assert (padded >= lengths).all()
    assert (padded % 8 == 0).all()
    assert (np.diff(padded) >= 0).all()
    assert (padded - lengths < np.maximum(8, lengths / 8)).all()
    assert len(np.unique(padded[lengths > 512])) == 24
