import io

import numpy as np
import pytest
from PIL import Image

from emola_jax.errors import UserError
from input_pipeline.images import CLIP_MEAN_COLOUR, square_pixels
from tests.input_pipeline.fakes import png


def test_a_wide_picture_is_padded_above_and_below_with_clips_mean_colour():
    file = io.BytesIO()
    Image.new('RGB', (12, 6), (255, 0, 0)).save(file, 'PNG')
    pixels = square_pixels(file.getvalue(), size=12, name='x')
    assert (pixels[:3] == CLIP_MEAN_COLOUR).all()
    assert (pixels[3:9] == (255, 0, 0)).all()
    assert (pixels[9:] == CLIP_MEAN_COLOUR).all()


@pytest.mark.parametrize('data', [b'', b'no picture', png((1, 2, 3))[:40]])
def test_what_is_no_picture_is_named(data):
    with pytest.raises(UserError, match="record 'face-7': field image"):
        square_pixels(data, size=8, name='face-7')


def test_grey_and_transparent_pictures_become_colour():
    for mode in ('L', 'RGBA', 'P'):
        file = io.BytesIO()
        Image.new(mode, (8, 8)).save(file, 'PNG')
        assert square_pixels(file.getvalue(), size=8, name='x').shape == (8, 8, 3)
    assert square_pixels(png((1, 2, 3)), size=8, name='x').dtype == np.uint8
