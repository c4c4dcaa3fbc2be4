"""Frames of videos as pictures, one file each, as the labels of video data sets count them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files import atomic_folder
from input_pipeline.datasets import answers
from input_pipeline.datasets.items import Item, landmark_file

_SUFFIXES = ('.jpg', '.jpeg', '.png')
_JPEG_QUALITY = 95


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
    if not folder.is_dir():
        return {}
    return {
        int(path.stem): path
        for path in sorted(folder.iterdir())
        if path.stem.isdigit() and path.suffix.lower() in _SUFFIXES
    }


def extract(videos: Mapping[Path, Path]) -> None:
    """Writes the frames of videos as 1.jpg, 2.jpg, …; a folder that is there is left as it is.

    Args:
      videos: folder of the frames -> the video's file.

    Raises:
      UserError: videos that cannot be decoded, or written beside; each is named.
    """
    bad = []
    todo = {folder: video for folder, video in videos.items() if not folder.exists()}
    for folder, video in tqdm(todo.items(), desc='frames', unit='video', disable=not todo):
        capture = cv2.VideoCapture(str(video))
        try:
            with atomic_folder(folder) as partial:
                if not _write_frames(capture, partial):
                    raise UserError(f'{video}: no frame of it can be decoded, expected a video')
        except UserError as error:
            bad.append(str(error))
        except OSError as error:
            bad.append(f'{folder}: the frames of {video.name} cannot be written there ({error})')
        finally:
            capture.release()
    if bad:
        raise UserError('\n'.join(bad))


def _write_frames(capture: cv2.VideoCapture, folder: Path) -> int:
    """Writes all frames; returns their number."""
    count = 0
    while True:
        is_frame, picture = capture.read()
        if not is_frame:
            return count
        count += 1
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        if not cv2.imwrite(str(folder / f'{count}.jpg'), picture, quality):
            raise UserError(f'{folder}: frame {count} could not be written')
