"""Frames of videos with the times that their container gives them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import UInt8

from emola_jax.errors import UserError

LARGEST_FRAME = 64_000_000
"""Pixels of a frame; 8K has 33 million."""

_FALLBACK_RATE = 25.0  # of videos that don't state theirs
_LONGEST_TAIL = 1.0  # seconds of a container's length that may be without a picture
_MOST_FRAMES = 10**9  # a year; what says more does not know
_HEAD = 4096  # bytes that tell a text from a video
_PROBED = 1 << 20  # bytes that FFmpeg looks at
_LISTS = (b'#extm3u', b'ffconcat', b'<mpd', b'c=in ip', b'<asx', b'compositionplaylist')
"""What play lists and the like hold, by which FFmpeg knows them, in lower case."""
_TEXT = frozenset(range(0x20, 0x7F)) | frozenset(b'\t\r\n')
ROUNDING = 0.0006
"""Seconds that a time may be off: containers and our files round to milliseconds."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[cv2.VideoCapture]:
    """A local video, open for reading, closed in the end.

    FFmpeg is given the absolute path of a file that is there, never a text: it takes 'http:/…' for
    an address, and play lists name further files and addresses.

    Raises:
      UserError: it cannot be read, is no video, or one beyond the limits; names the file.
    """
    with _file(path) as file:
        capture = cv2.VideoCapture(_name(path, file.fileno()), cv2.CAP_FFMPEG)
        try:
            _check(path, capture)
            yield capture
        finally:
            capture.release()


def _file(path: Path) -> BinaryIO:
    """The open file, which may be a video."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise UserError(f'{path}: no readable video (no such file)')
        file = path.open('rb')
        head = file.read(_HEAD)
        probed = file.read(_PROBED - _HEAD) if b'\0' not in head else b''
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None
    if not head or _TEXT.issuperset(head):
        file.close()
        raise UserError(f'{path}: no readable video')
    # FFmpeg, too, reads a text up to the first NUL.
    text = (head + probed).split(b'\0', 1)[0].lower()
    if any(mark in text for mark in _LISTS):
        file.close()
        raise UserError(f'{path}: no readable video (a list of other files, which are not opened)')
    return file


def frames(path: Path, capture: cv2.VideoCapture) -> Iterator[float]:
    """Grabs frame after frame; `retrieve` decodes the one whose time was given last.

    Args:
      path: of the video, for the message.
      capture: of `opened`.

    Yields:
      Seconds from the video's start, each later than the one before.

    Raises:
      UserError: there are frames, and they end well before the video says that it ends.
    """
    step = gap = 1 / rate(capture)
    last, count = -math.inf, 0
    while capture.grab():
        seconds = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        # Some containers don't time every frame; OpenCV then says 0.
        if not math.isfinite(seconds) or seconds <= last:
            seconds = last + step
        seconds = max(seconds, 0.0)
        gap = max(gap, seconds - last if count else 0.0)
        last, count = seconds, count + 1
        yield last
    if count:
        # The last frame may stay as long as any other: a pause of a variable rate.
        _check_end(path, capture, count, last + gap)


def _check_end(path: Path, capture: cv2.VideoCapture, count: int, end: float) -> None:
    """Finds out whether a video breaks off; a sound that outlasts the picture is none."""
    stated = stated_length(capture)
    if count < stated_frames(capture) and end < stated - min(_LONGEST_TAIL, stated / 2):
        raise UserError(
            f'{path}: breaks off at {end:.1f} s (frame {count}); by its header it lasts '
            f'{stated:.1f} s: what is missing was not read, get the whole file'
        )


def retrieve(capture: cv2.VideoCapture) -> UInt8[np.ndarray, 'H W 3'] | None:
    """The frame that was grabbed, RGB, or None if it cannot be decoded or is too large."""
    if _pixels(capture) > LARGEST_FRAME:  # a stream may change its size
        return None
    try:
        whole, frame = capture.retrieve()
    except cv2.error:
        return None
    if not whole or frame is None or frame.ndim != 3:
        return None
    return np.ascontiguousarray(frame[..., ::-1])


def frames_at(path: Path, times: Sequence[float]) -> list[UInt8[np.ndarray, 'H W 3'] | None]:
    """The frames of a video that `frames` gives these times; None for those that aren't there.

    One pass up to the last of them: OpenCV jumps by the mean rate, so that it lands elsewhere in
    videos of a variable one.
    """
    found: dict[float, UInt8[np.ndarray, 'H W 3'] | None] = {}
    waiting = sorted(set(times), reverse=True)
    with contextlib.suppress(UserError), opened(path) as capture:
        for seconds in frames(path, capture):
            while waiting and waiting[-1] < seconds - ROUNDING:
                waiting.pop()
            if not waiting:
                break
            if waiting[-1] <= seconds + ROUNDING:
                found[waiting.pop()] = retrieve(capture)
    return [found.get(time) for time in times]


def length(path: Path) -> float:
    """Seconds that a video says it lasts, 0 where it doesn't or cannot be read."""
    with contextlib.suppress(UserError), opened(path) as capture:
        return stated_length(capture)
    return 0.0


def stated_length(capture: cv2.VideoCapture) -> float:
    """Seconds that the container states, 0 where it doesn't."""
    return stated_frames(capture) / rate(capture)


def stated_frames(capture: cv2.VideoCapture) -> int:
    """Frames by the container's count, or by its length and rate; 0 where it states neither."""
    stated = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return int(stated) if 0 < stated < _MOST_FRAMES else 0


def rate(capture: cv2.VideoCapture) -> float:
    """Mean frames a second, as the container states it."""
    stated = float(capture.get(cv2.CAP_PROP_FPS))
    return stated if math.isfinite(stated) and stated > 0 else _FALLBACK_RATE


def _name(path: Path, descriptor: int) -> str:
    """What OpenCV opens: an absolute path, or the open file where the path is no text."""
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError:
        return f'/dev/fd/{descriptor}'
    return name


def _check(path: Path, capture: cv2.VideoCapture) -> None:
    if not capture.isOpened():
        raise UserError(f'{path}: no readable video')
    if _pixels(capture) > LARGEST_FRAME:
        width, height = _sides(capture)
        raise UserError(
            f'{path}: no readable video (frames of {width} x {height} pixels, at most '
            f'{LARGEST_FRAME // 10**6} million are read)'
        )


def _sides(capture: cv2.VideoCapture) -> tuple[int, int]:
    sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    width, height = (int(capture.get(side)) for side in sides)
    return width, height


def _pixels(capture: cv2.VideoCapture) -> int:
    return math.prod(_sides(capture))
