"""A picture and its landmark file, read and written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from emola_jax.errors import UserError
from emola_jax.files.whole import atomic_write
from input_pipeline import images
from input_pipeline.arrays import read_array
from input_pipeline.landmarks import POINTS


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture and its landmark file, which may not exist."""

    image: Path
    landmarks: Path


def read_picture(path: Path) -> np.ndarray:
    """Pixels u8[H, W, 3], RGB, upright, as every command sees them (see `images`).

    Raises:
      UserError: it cannot be read, or is no picture.
    """
    return np.asarray(images.read_file(path).image, np.uint8)


def read_landmarks(path: Path) -> np.ndarray:
    """A landmark file as it is: any shape, float32.

    Raises:
      UserError: it is no file of numbers that NumPy reads.
    """
    array = read_array(path)
    try:
        return np.asarray(array, np.float32)
    except (ValueError, TypeError) as error:
        raise UserError(f'{path}: expected an array of numbers ({error})') from None


def write_landmarks(path: Path, landmarks: np.ndarray) -> None:
    """Writes f32[212], whole or not at all."""
    with atomic_write(path) as partial, partial.open('wb') as file:
        np.save(file, landmarks.astype(np.float32))


def is_extracted(path: Path) -> bool:
    """Whether there is a readable landmark file of the right length."""
    try:
        return path.is_file() and read_landmarks(path).shape == (2 * POINTS,)
    except (UserError, OSError):
        return False


def holds_something_else(path: Path) -> bool:
    """Whether the file is an array of another shape, which somebody may want to keep."""
    try:
        return path.is_file() and read_landmarks(path).shape != (2 * POINTS,)
    except (UserError, OSError):
        return False
