"""Frames of videos as pictures, one file each, as the labels of video data sets count them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files import atomic_folder
from input_pipeline import media, videos
from input_pipeline.datasets import answers, checks, paths
from input_pipeline.datasets.items import Item, landmark_file
from input_pipeline.validate import Problem

_SUFFIXES = ('.jpg', '.jpeg', '.png')
_JPEG_QUALITY = 95

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
        instruction=answers.QUESTIONS['au'],
        response=answers.au_answer(aus),
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


class _NoVideo(Exception):
    """No frame can be decoded; keeps `atomic_folder` from leaving an empty folder."""


def extract(sources: Mapping[Path, Path]) -> list[Problem]:
    """Writes the frames of videos as 1.jpg, 2.jpg, …; a folder that is there is left as it is.

    Args:
      sources: folder of the frames -> the video's file.

    Returns:
      One problem for each file that is no video; the others are written.

    Raises:
      UserError: frames cannot be written.
    """
    problems = []
    todo = {folder: video for folder, video in sources.items() if not folder.exists()}
    for folder, video in tqdm(todo.items(), desc='frames', unit='video', disable=not todo):
        try:
            with _opened(video) as capture, atomic_folder(folder) as partial:
                if not _write_frames(capture, partial):
                    raise _NoVideo
        except _NoVideo:
            message = f'{video}: no frame of it can be decoded, expected a video'
            problems.append(Problem(str(video), checks.BAD_VIDEO, message))
    return problems


@contextlib.contextmanager
def _opened(video: Path) -> Iterator[cv2.VideoCapture]:
    with contextlib.ExitStack() as stack:
        try:
            capture = stack.enter_context(videos.opened(video))
        except UserError as error:
            raise _NoVideo from error
        yield capture


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
