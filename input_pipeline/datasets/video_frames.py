"""Frames of videos as pictures, one file each, as the labels of video data sets count them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files import media, paths
from emola_jax.files.whole import atomic_folder
from input_pipeline import videos
from input_pipeline.datasets import checks, wording
from input_pipeline.datasets.items import Item, landmark_file
from input_pipeline.validate import Problem

_SUFFIXES = ('.jpg', '.jpeg', '.png')
_JPEG_QUALITY = 95
_NO_FRAME = 'no frame of it can be decoded, expected a video'
_DECODED_SHARE = 0.99  # of the frames that a header states, which may be off by a few

VIDEO_SUFFIXES = tuple(sorted(media.VIDEOS))
"""What a video's file may be called."""


def pictures(folder: Path, own: str = 'frames') -> Path:
    """Where the frames are: in `faces`, cropped, if that folder is there, else in `own`."""
    return folder / ('faces' if (folder / 'faces').is_dir() else own)


def item(
    folder: Path,
    picture: Path,
    *,
    id: str,
    split: str,
    subject: str,
    aus: tuple[int, ...],
    own: str = 'frames',
) -> Item:
    """The record of a labelled frame; `folder`, ROOT/DISFA for one, may have `landmarks`."""
    return Item(
        id=id,
        split=split,
        image=str(picture),
        landmarks=landmark_file(folder / 'landmarks', pictures(folder, own), picture),
        task='au',
        instruction=wording.QUESTIONS['au'],
        response=wording.au_answer(aus),
        aus=aus,
        source=folder.name,
        subject=subject,
    )


def numbered(folder: Path) -> dict[int, Path]:
    """The pictures of a folder by the number that is their name, with or without leading zeros."""
    return {
        int(path.stem): path
        for path in paths.files(folder, *_SUFFIXES)
        if path.stem.isascii() and path.stem.isdecimal()
    }


class _BadVideo(Exception):
    """What is wrong with a video; keeps `atomic_folder` from leaving its frames."""


def extract(sources: Mapping[Path, Path]) -> list[Problem]:
    """Writes the frames of videos as 1.jpg, 2.jpg, …; a folder that is there is left as it is.

    Args:
      sources: folder of the frames -> the video's file.

    Returns:
      One problem for each file that is no video or a part of one, of which no frame is kept:
      labels go by the number of a frame. The others are written.

    Raises:
      UserError: frames cannot be written.
    """
    problems = []
    todo = {folder: video for folder, video in sources.items() if not folder.exists()}
    for folder, video in tqdm(todo.items(), desc='frames', unit='video', disable=not todo):
        try:
            with _opened(video) as capture, atomic_folder(folder) as partial:
                _check_count(_write_frames(capture, partial), videos.stated_frames(capture))
        except _BadVideo as error:
            problems.append(Problem(str(video), checks.BAD_VIDEO, f'{video}: {error}'))
    return problems


@contextlib.contextmanager
def _opened(video: Path) -> Iterator[cv2.VideoCapture]:
    with contextlib.ExitStack() as stack:
        try:
            capture = stack.enter_context(videos.opened(video))
        except UserError as error:
            raise _BadVideo(_NO_FRAME) from error
        yield capture


def _check_count(count: int, stated: int) -> None:
    """Frames that cannot be decoded are passed over, and shift the numbers of those that follow."""
    if not count:
        raise _BadVideo(_NO_FRAME)
    if count < _DECODED_SHARE * stated - 1:
        raise _BadVideo(
            f'only {count} of its {stated} frames can be decoded, so that labels would not fit '
            'them; get the whole file'
        )


def _write_frames(capture: cv2.VideoCapture, folder: Path) -> int:
    """Writes all frames; returns their number.

    Raises:
      UserError: one cannot be written.
    """
    count = 0
    while capture.grab():
        picture = videos.retrieve(capture)
        if picture is None:
            break
        count += 1
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        if not cv2.imwrite(
            str(folder / f'{count}.jpg'), np.ascontiguousarray(picture[..., ::-1]), quality
        ):
            raise UserError(f'{folder}: frame {count} cannot be written; is the disk full?')
    return count
