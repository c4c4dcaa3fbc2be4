"""Encoded pictures into square uint8 arrays."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

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


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A photo as a person sees it: turned as its EXIF says, on white where it is transparent.

    Greys of 16 or 32 bits become 8, scaled by their own range, which PIL would cut off.

    Raises:
      OSError: the picture is truncated.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(('I', 'F')):
        values = np.asarray(picture, np.float32)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scaled = np.nan_to_num((values - low) * (255 / max(high - low, 1e-6)))
        return Image.fromarray(scaled.astype(np.uint8)).convert('RGB')
    if picture.has_transparency_data:
        above = picture.convert('RGBA')
        return Image.alpha_composite(Image.new('RGBA', above.size, 'white'), above).convert('RGB')
    return picture.convert('RGB')


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


def square_pixels(
    image: bytes, *, size: int, name: str, pad: bool = True
) -> UInt8[np.ndarray, 'size size 3']:
    """Decodes and resizes (bicubic, CLIP's filter) to a square of `size` pixels a side.

    Args:
      image: the encoded picture.
      size: pixels a side.
      name: of the record, for messages.
      pad: whether to pad to a square first. False cuts the square out of the resized picture's
        middle, as CLIP's own preprocessing does and the released evaluation with it.

    Raises:
      UserError: the bytes are no picture, or a truncated one.
    """
    picture = decode(image, name=name)
    if pad:
        picture = pad_to_square(picture)
    width, height = picture.size
    shorter = min(width, height)
    resized = (size * width // shorter, size * height // shorter)
    if picture.size != resized:
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    return np.asarray(picture, np.uint8)[top : top + size, left : left + size]
