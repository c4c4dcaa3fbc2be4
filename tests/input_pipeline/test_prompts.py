import numpy as np

from input_pipeline.prompts import prompt_batch, prompt_length
from tests.input_pipeline.fakes import encoder, record


def test_prompts_end_at_the_right_edge_and_padding_is_marked():
    coder = encoder()
    records = [record(0, instruction='Short?'), record(1, instruction='A longer question?')]
    length = prompt_length(records, coder)
    batch = prompt_batch(records, coder, length=length, rows=3)
    assert length % 8 == 0
    assert batch['tokens'].shape == (3, length)
    for row, face in enumerate(records):
        prompt = coder.conversation(face).tokens[: (batch['segment_ids'][row] > 0).sum()]
        np.testing.assert_array_equal(batch['tokens'][row, -len(prompt) :], prompt)
        np.testing.assert_array_equal(
            batch['positions'][row, -len(prompt) :], np.arange(len(prompt))
        )
        assert (batch['segment_ids'][row, : -len(prompt)] == 0).all()
    np.testing.assert_array_equal(batch['tokens'][2], batch['tokens'][0])


def test_noise_on_an_evaluated_face_is_the_same_in_every_batch():
    coder = encoder(landmark_noise=0.03)
    faces = [record(number) for number in range(3)]
    length = prompt_length(faces, coder)
    together = prompt_batch(faces, coder, length=length, rows=3)['landmarks']
    alone = prompt_batch(faces[2:], coder, length=length, rows=1)['landmarks']
    np.testing.assert_array_equal(together[2], alone[0])
    assert not np.array_equal(alone[0, 0], faces[2].landmarks)
