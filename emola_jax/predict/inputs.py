"""Pixels of photos and of the frames of videos; which files those are, `listing` finds out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from emola_jax.errors import UserError
from emola_jax.files import media
from input_pipeline import images, videos


@dataclasses.dataclass(frozen=True)
class Shot:
    """One photo or one frame of a video.

    Attributes:
      name: the path as it was given or found, for frames with the time.
      path: of the file.
      seconds: of a frame from the video's start; None for a photo.
      pixels: u8[H, W, 3] RGB, or None where it cannot be read.
      fault: why not.
      size: width and height of the file's picture, upright.
    """

    name: str
    path: Path
    seconds: float | None
    pixels: UInt8[np.ndarray, 'H W 3'] | None
    fault: str = ''
    size: tuple[int, int] = (0, 0)


def count(files: Sequence[Path], fps: float) -> int:
    """About how many shots there are: the length that a video states isn't always true."""
    return sum(max(1, int(videos.length(file) * fps)) if is_video(file) else 1 for file in files)


def is_video(path: Path) -> bool:
    """Whether a file counts as a video, by its name."""
    return media.kind(path) is media.Kind.VIDEO


def shot_name(path: Path, seconds: float | None) -> str:
    """What a photo is called, or a frame of a video: 'talk.mp4@1.25s'."""
    if seconds is None:
        return str(path)
    return f'{path}@{f"{seconds:.3f}".removesuffix("0")}s'


def shots(files: Sequence[Path], fps: float, done: frozenset[str]) -> Iterator[Shot]:
    """Every photo and frame; what cannot be read says why.

    Args:
      files: photos and videos.
      fps: frames per second of a video.
      done: names of shots that are left out.
    """
    for file in files:
        if is_video(file):
            yield from _video(file, fps, done)
        elif str(file) not in done:
            yield _photo(file)


def read_photo(path: Path) -> tuple[UInt8[np.ndarray, 'H W 3'], tuple[int, int]]:
    """Pixels of a photo, upright, RGB, `images.LARGEST_PHOTO` at most; and its own size.

    Raises:
      UserError: it cannot be read, is no picture, or is truncated.
    """
    picture = images.read_file(path)
    return np.asarray(picture.image, np.uint8), picture.size


def _photo(path: Path) -> Shot:
    try:
        pixels, size = read_photo(path)
    except UserError as error:
        return Shot(str(path), path, None, None, str(error))
    return Shot(str(path), path, None, pixels, size=size)


def _video(path: Path, fps: float, done: frozenset[str]) -> Iterator[Shot]:
    read = False
    try:
        with videos.opened(path) as capture:
            for seconds in _sampled(videos.frames(path, capture), fps):
                read = True
                name = shot_name(path, seconds)
                if name in done:
                    continue
                pixels = videos.retrieve(capture)
                if pixels is None:
                    yield Shot(name, path, seconds, None, f'{name}: no readable frame')
                else:
                    size = (pixels.shape[1], pixels.shape[0])
                    yield Shot(name, path, seconds, pixels, size=size)
        fault = '' if read else f'{path}: no readable video'
    except UserError as error:
        fault = str(error)
    if fault and str(path) not in done:
        yield Shot(str(path), path, None, None, fault)


def _sampled(times: Iterable[float], fps: float) -> Iterator[float]:
    """The first of the times in each stretch of 1 / fps seconds."""
    due = 0
    for seconds in times:
        stretch = math.floor((seconds + videos.ROUNDING) * fps)
        if stretch >= due:
            due = stretch + 1
            yield seconds


def frame_at(path: Path, seconds: float) -> UInt8[np.ndarray, 'H W 3'] | None:
    """One frame of a video, or None if it cannot be read."""
    (frame,) = videos.frames_at(path, [seconds])
    return frame
