"""The pictures that the tests look at (tests/golden/faces/README.txt)."""

from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parents[1] / 'golden' / 'faces'
SIZE, COLUMNS, COUNT = 96, 10, 50


def astronaut() -> np.ndarray:
    """u8[512, 512, 3], RGB; one face at about (226, 130)."""
    return np.asarray(Image.open(FOLDER / 'astronaut.jpg').convert('RGB'))


def rendered() -> tuple[np.ndarray, np.ndarray]:
    """(u8[50, 96, 96, 3], f32[50, 212])."""
    sheet = np.asarray(Image.open(FOLDER / 'rendered.png').convert('RGB'))
    rows = sheet.reshape(COUNT // COLUMNS, SIZE, COLUMNS, SIZE, 3).swapaxes(1, 2)
    return rows.reshape(COUNT, SIZE, SIZE, 3), np.load(FOLDER / 'rendered.npy')
