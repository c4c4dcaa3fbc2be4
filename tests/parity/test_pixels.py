import numpy as np
import pytest

from emola_jax.models.clip_vit import normalize_images
from input_pipeline.images import square_pixels
from tests.parity import golden


@pytest.mark.parametrize(
    'pad', [True, False], ids=['padded_as_in_training', 'cut_as_in_evaluation']
)
def test_normalised_pixels_are_the_references(pad):
    kind = 'pad' if pad else 'crop'
    expected = {
        name.removeprefix(f'{kind}/'): pixels
        for name, pixels in golden.arrays('pixels').items()
        if name.startswith(f'{kind}/')
    }
    assert len(expected) == (28 if pad else 8)
    records = golden.records('train') | golden.records('eval')
    pictures = {image: record.image for (_, image), record in records.items()}
    for image, theirs in expected.items():
        squares = square_pixels(pictures[image], size=56, name=image, pad=pad)
        ours = np.asarray(normalize_images(squares, golden.CFG.vision))
        np.testing.assert_allclose(ours.transpose(2, 0, 1), theirs, rtol=0, atol=1e-6)
