"""Where the reference puts visual vectors among a row's embeddings, with its trained projectors.

The reference hands its images out one by one over the whole batch, and hands a row without an image
mark one as well, of which it uses nothing. Ours belong to their rows.
"""

import numpy as np
import pytest

from emola_jax.models.emola import Emola
from emola_jax.training.loss import next_token_loss
from tests.models.tiny import run
from tests.parity import golden

ROWS, LENGTH, PLACES = 4, 52, 2

RECORDED = golden.facts('merge')
PARAMS = golden.released_params()


def images_by_row(case):
    """Numbers of the images that the reference puts into every row."""
    handed_out, rows = 0, []
    for ids in case['seqs']:
        count = max(ids.count(golden.IMAGE_TOKEN), 1)
        rows.append(range(handed_out, handed_out + count))
        handed_out += count
    return rows


def make_batch(case, side):
    """Rows of `LENGTH` tokens with `PLACES` images, so that one program serves every case."""
    by_image = {image: record for (_, image), record in golden.records('train').items()}
    records = [by_image[image] for image in RECORDED['images']]
    pixels = np.stack([golden.encoder().pixels(record) for record in records])
    landmarks = np.stack([record.landmarks for record in records])
    numbers = images_by_row(case)
    # What a row's tokens never take stands in its empty places.
    chosen = np.zeros((ROWS, PLACES), int)
    for number, images in enumerate(numbers):
        chosen[number, : len(images)] = images
    batch = {
        name: np.zeros((ROWS, LENGTH), np.int32) for name in ('tokens', 'positions', 'segment_ids')
    }
    for number, ids in enumerate(case['seqs']):
        row = golden.widen_tokens(ids)
        used = slice(0, len(row)) if side == 'right' else slice(LENGTH - len(row), LENGTH)
        batch['tokens'][number, used] = row
        batch['positions'][number, used] = np.arange(len(row))
        batch['segment_ids'][number, used] = 1
    return batch | {'images': pixels[chosen], 'landmarks': landmarks[chosen]}


CASES = [name for name, case in RECORDED['cases'].items() if 'exception' not in case]


@pytest.mark.parametrize('name', CASES)
def test_order_padding_and_loss(name):
    case, expected = RECORDED['cases'][name], golden.arrays('merge')[name]
    side = name.split('/')[1]
    batch = make_batch(case, side)
    rows, length = expected.shape[:2]
    window = np.s_[:rows, :length] if side == 'right' else np.s_[:rows, -length:]
    np.testing.assert_array_equal(batch['segment_ids'][window], case['attention_mask'])
    np.testing.assert_array_equal(batch['positions'][window], case['pos'])
    assert batch['segment_ids'].sum() == batch['segment_ids'][window].sum()
    inside = batch['segment_ids'][window] > 0
    embedded = np.asarray(run(golden.MODEL, PARAMS, batch, Emola.embed))[window]
    np.testing.assert_allclose(embedded[inside], expected[inside], rtol=0, atol=1e-5)
    if 'loss' in case:
        labels = np.full((ROWS, LENGTH), golden.IGNORED)
        labels[:rows, : length - 1] = np.asarray(case['labels'])[:, 1:]
        weights = (labels != golden.IGNORED).astype(np.float32)
        logits = run(golden.MODEL, PARAMS, batch)
        loss = next_token_loss(logits, np.maximum(labels, 0), weights)
        np.testing.assert_allclose(loss, case['loss'], rtol=0, atol=1e-5)


def test_cases_cover_what_the_reference_can_do():
    kinds = {name.split('/')[0] for name in CASES}
    assert kinds == {'ragged', 'no_image_token', 'two_tokens_shift', 'only_image'}


def test_more_marks_than_images_give_nan_where_the_reference_raises():
    assert 'IndexError' in RECORDED['cases']['two_tokens_overflow/right']['exception']
    batch = make_batch({'seqs': [[1]]}, 'right')
    batch['tokens'][0] = golden.widen_tokens([1] + [golden.IMAGE_TOKEN] * (PLACES + 1))
    embedded = np.asarray(run(golden.MODEL, PARAMS, batch, Emola.embed))[0]
    known = 1 + PLACES * golden.CFG.visual_tokens
    assert np.isfinite(embedded[:known]).all()
    assert np.isnan(embedded[known:]).all()
