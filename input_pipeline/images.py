"""Encoded pictures into square uint8 arrays."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from emola_jax.errors import UserError

CLIP_MEAN_COLOUR = (122, 116, 104)
"""CLIP's mean colour in 0..255: what the released training code pads to a square with."""


def decode(image: bytes, *, name: str) -> Image.Image:
    """Decodes a picture to RGB.

    Raises:
      UserError: the bytes are no picture, or a truncated one.
    """
    try:
        return Image.open(io.BytesIO(image)).convert('RGB')
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(
            f"record '{name}': field image holds no readable picture ({error})"
        ) from None


def pad_to_square(
    picture: Image.Image, colour: tuple[int, int, int] = CLIP_MEAN_COLOUR
) -> Image.Image:
    """Centres the picture on a square of its longer side, as the released training code does."""
    width, height = picture.size
    if width == height:
        return picture
    side = max(width, height)
    square = Image.new('RGB', (side, side), colour)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def square_pixels(image: bytes, *, size: int, name: str) -> UInt8[np.ndarray, 'size size 3']:
    """Decodes, pads to a square and resizes (bicubic, CLIP's filter) to `size` pixels a side."""
    picture = pad_to_square(decode(image, name=name))
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.uint8)
