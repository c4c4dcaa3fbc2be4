"""The answers of a folder on one page that needs nothing but itself."""

from __future__ import annotations

import base64
import collections
import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES
from emola_jax.files.names import text_path
from emola_jax.files.whole import write_text
from emola_jax.predict import rows, timeline
from emola_jax.predict.inputs import read_photo
from emola_jax.predict.listing import Input
from emola_jax.predict.results import TIMELINES, Results
from emola_jax.predict.rows import ANSWERED, Row
from emola_jax.reporting import run_page
from input_pipeline import videos

PAGE_FILE = 'predictions.html'

_SIDE = 480  # pixels of a photo on the page
_STILLS = 8  # frames of a video on the page
_STEADY = 2  # frames that a face must be seen in for a time line

_Faces = dict[rows.Key, list[Row]]


@dataclasses.dataclass(frozen=True)
class _Card:
    name: str
    image: str
    width: int
    height: int
    faces: Sequence[Row]


@dataclasses.dataclass(frozen=True)
class _Video:
    name: str
    frames: int
    lines: Sequence[tuple[str, Markup]]
    stills: Sequence[tuple[str, str]]


def write_page(results: Results, *, title: str, about: Sequence[str], limit: int) -> Path:
    """Writes the page and the time lines of videos from what the results hold.

    Args:
      results: of the command.
      title: of the page.
      about: facts for its head.
      limit: at most so many photos are shown; all of them stand in the table.
    """
    photos = results.photos()
    faces: _Faces = collections.defaultdict(list)
    for row in results.faces():
        faces[rows.key(row)].append(row)
    answered = [p for p in photos if p['status'] == ANSWERED and p['seconds'] is None]
    videos: dict[str, list[Row]] = {}
    for photo in photos:
        if photo['seconds'] is not None:
            videos.setdefault(photo['file'], []).append(photo)
    for old in (results.folder / TIMELINES).glob('*.face*.svg'):
        old.unlink()
    text = (
        run_page.environment()
        .get_template('predictions.html')
        .render(
            title=title,
            about=about,
            photos=len(photos),
            faces=sum(map(len, faces.values())),
            cards=[_card(photo, faces) for photo in answered[:limit]],
            hidden=max(len(answered) - limit, 0),
            videos=[_video(results, frames, faces) for frames in videos.values()],
            left_out=[
                p
                for p in photos
                if p['status'] != ANSWERED and (p['seconds'] is None or p['fault'])
            ],
            au_names={str(au): name for au, name in AU_NAMES.items()},
        )
    )
    path = results.folder / PAGE_FILE
    write_text(path, text)
    return path


def _card(photo: Row, faces: _Faces) -> _Card:
    image = ''
    if path := _unchanged(photo):
        # It was there before; its answers are shown without it.
        with contextlib.suppress(UserError):
            image = _uri(Image.fromarray(read_photo(path)[0]))
    shown = [_shown(face) for face in faces[rows.key(photo)]]
    return _Card(photo['photo'], image, photo['width'], photo['height'], shown)


def _unchanged(photo: Row) -> Path | None:
    """The file of a photo or frame, if it still is the one that was answered for."""
    try:
        found = Input.of(text_path(photo['file']))
    except (OSError, ValueError, RuntimeError):
        return None
    same = (found.size, found.modified) == (photo['bytes'], photo['modified'])
    return found.path if same else None


def _shown(face: Row) -> Row:
    """A row with what the page orders: emotions by probability, and the action units to draw."""
    emotions = sorted(face['emotions'].items(), key=lambda item: -item[1])
    aus = sorted(face['aus'].items(), key=lambda item: -item[1])[:10]
    return {
        **face,
        'likely': emotions[:3],
        'likely_aus': sorted(aus, key=lambda item: int(item[0])),
    }


def _video(results: Results, frames: Sequence[Row], faces: _Faces) -> _Video:
    """A video's part of the page; writes its time lines."""
    name = frames[0]['photo'].rpartition('@')[0]
    frames = sorted(frames, key=lambda frame: frame['seconds'])
    found = timeline.tracks([faces[rows.key(frame)] for frame in frames])
    steady = [track for track in found if len(track) >= _STEADY and track[0]['aus']]
    lines = []
    for number, track in enumerate(steady, start=1):
        drawn = timeline.draw(track, title=f'{name}, face {number}')
        svg = results.folder / TIMELINES / f'{frames[0]["stem"]}.face{number}.svg'
        write_text(svg, str(drawn))
        lines.append((f'Face {number}, {len(track)} frames', drawn))
    return _Video(name, len(frames), lines, list(_stills(frames, faces)))


def _stills(frames: Sequence[Row], faces: _Faces) -> Iterator[tuple[str, str]]:
    """Some frames, each with its title and picture; none of a video that has changed."""
    path = _unchanged(frames[0])
    if path is None:
        return
    step = max(len(frames) // _STILLS, 1)
    chosen = frames[::step][:_STILLS]
    pictures = videos.frames_at(path, [frame['seconds'] for frame in chosen])
    for frame, pixels in zip(chosen, pictures, strict=True):
        if pixels is not None:
            yield _still_title(frame, faces), _uri(Image.fromarray(pixels))


def _still_title(frame: Row, faces: _Faces) -> str:
    named = ', '.join(face['emotion'] for face in faces[rows.key(frame)] if face['emotion'])
    return f'{frame["seconds"]:.2f} s: {named or "no face"}'


def _uri(picture: Image.Image) -> str:
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, 'JPEG', quality=86)
    return 'data:image/jpeg;base64,' + base64.b64encode(file.getvalue()).decode('ascii')
