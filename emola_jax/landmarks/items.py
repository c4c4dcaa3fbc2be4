"""Which pictures a command works on, and where the landmark file of each is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from emola_jax.errors import UserError
from emola_jax.files import atomic_write
from input_pipeline import images, media
from input_pipeline.landmarks import POINTS

IMAGE_SUFFIXES = media.PICTURES


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture and its landmark file, which may not exist."""

    image: Path
    landmarks: Path


def collect(
    paths: Sequence[Path], *, root: Path | None = None, out: Path | None = None
) -> list[Item]:
    """The pictures of folders, annotation files and single files, each once, in a stable order.

    A folder's landmarks go to the folder beside it that is called 'landmarks' where it is called
    'images' (the released layout), and '<its name>_landmarks' else, under the same relative names.
    An annotation file names both files of each example.

    Args:
      paths: folders, .json files of the released layout, or pictures.
      root: what the paths inside annotation files start at; by default the nearest folder above the
        file from which the first picture is found.
      out: the folder to put all landmark files in instead.

    Raises:
      UserError: a path is missing, an annotation file is damaged, or there is no picture at all.
    """
    items: dict[Path, Item] = {}
    for path in paths:
        for item in _items(Path(path), root, out):
            items.setdefault(item.landmarks, item)
    if not items:
        raise UserError(f'no pictures in {", ".join(map(str, paths))}')
    return list(items.values())


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
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    except Exception as error:  # a damaged header raises many kinds, a huge claim MemoryError
        raise UserError(f'{path}: not a readable .npy file ({error})') from None


def write_landmarks(path: Path, landmarks: np.ndarray) -> None:
    """Writes f32[212], whole or not at all."""
    with atomic_write(path) as partial, partial.open('wb') as file:
        np.save(file, landmarks.astype(np.float32))


def is_extracted(path: Path) -> bool:
    """Whether there is a readable landmark file of the right length."""
    try:
        return path.is_file() and read_landmarks(path).shape == (2 * POINTS,)
    except UserError:
        return False


def _items(path: Path, root: Path | None, out: Path | None) -> Iterator[Item]:
    if path.is_dir():
        name = 'landmarks' if path.name == 'images' else f'{path.resolve().name}_landmarks'
        folder = out or path.resolve().with_name(name)
        for image in sorted(path.rglob('*')):
            if image.suffix.lower() in IMAGE_SUFFIXES and image.is_file():
                yield Item(image, (folder / image.relative_to(path)).with_suffix('.npy'))
    elif path.suffix == '.json' and path.is_file():
        yield from _annotated(path, root, out)
    elif path.is_file():
        yield Item(path, (out or path.parent) / f'{path.stem}.npy')
    else:
        raise UserError(f'{path}: no such file or folder')


def _annotated(path: Path, root: Path | None, out: Path | None) -> Iterator[Item]:
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
        names = [(str(entry['image']), str(entry['landmark'])) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected a JSON list of examples with 'image' and 'landmark' ({error!r})"
        ) from None
    if not names:
        return
    base = root or _root(path, names[0][0])
    for image, landmarks in names:
        yield Item(base / image, (out or base) / landmarks)


def _root(path: Path, image: str) -> Path:
    for folder in path.resolve().parents:
        if (folder / image).is_file():
            return folder
    raise UserError(
        f'{path}: its first picture {image} is not below any folder above it; give --root'
    )
