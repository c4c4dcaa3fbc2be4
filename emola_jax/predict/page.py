"""The answers of a folder on one page that needs nothing but itself."""

from __future__ import annotations

import base64
import collections
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from emola_jax import report
from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES
from emola_jax.files import write_text
from emola_jax.predict import timeline
from emola_jax.predict.inputs import frame_at, read_photo
from emola_jax.predict.results import ANSWERED, Results

PAGE_FILE, TIMELINES = 'predictions.html', 'timelines'

_SIDE = 480  # pixels of a photo on the page
_STILLS = 8  # frames of a video on the page
_STEADY = 2  # frames that a face must be seen in for a time line


@dataclasses.dataclass(frozen=True)
class _Card:
    name: str
    image: str
    width: int
    height: int
    faces: Sequence[dict[str, Any]]


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
    by_photo = collections.defaultdict(list)
    for row in results.faces():
        by_photo[row['photo']].append(row)
    answered = [p for p in photos if p['status'] == ANSWERED and p['seconds'] is None]
    videos = dict.fromkeys(p['file'] for p in photos if p['seconds'] is not None)
    text = (
        report.environment()
        .get_template('predictions.html')
        .render(
            title=title,
            about=about,
            photos=len(photos),
            faces=sum(map(len, by_photo.values())),
            cards=[card for p in answered[:limit] if (card := _card(results, p, by_photo))],
            hidden=max(len(answered) - limit, 0),
            videos=[
                _video(results, file, [p for p in photos if p['file'] == file], by_photo)
                for file in videos
            ],
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


def _card(
    results: Results, photo: dict[str, Any], by_photo: dict[str, list[dict[str, Any]]]
) -> _Card | None:
    try:
        pixels, _ = read_photo(Path(photo['file']))
    except UserError:  # it was there before; its answers stand in the table
        return None
    faces = [_shown(face) for face in by_photo[photo['photo']]]
    image = _uri(Image.fromarray(pixels))
    return _Card(photo['photo'], image, photo['width'], photo['height'], faces)


def _shown(face: dict[str, Any]) -> dict[str, Any]:
    """A row with what the page orders: emotions by probability, and the action units to draw."""
    emotions = sorted(face['emotions'].items(), key=lambda item: -item[1])
    aus = sorted(face['aus'].items(), key=lambda item: -item[1])[:10]
    return {
        **face,
        'likely': emotions[:3],
        'likely_aus': sorted(aus, key=lambda item: int(item[0])),
    }


def _video(
    results: Results,
    file: str,
    photos: Sequence[dict[str, Any]],
    by_photo: dict[str, list[dict[str, Any]]],
) -> _Video:
    found = timeline.tracks([by_photo[p['photo']] for p in photos])
    steady = [track for track in found if len(track) >= _STEADY and track[0]['aus']]
    lines = []
    for number, track in enumerate(steady, start=1):
        drawn = timeline.draw(track, title=f'{Path(file).name}, face {number}')
        name = f'{Path(file).name}.face{number}.svg'
        write_text(results.folder / TIMELINES / name, str(drawn))
        lines.append((f'Face {number}, {len(track)} frames', drawn))
    step = max(len(photos) // _STILLS, 1)
    stills = []
    for photo in photos[::step][:_STILLS]:
        if photo['seconds'] is None:
            continue
        frame = frame_at(Path(file), photo['seconds'])
        if frame is not None:
            stills.append((_still_title(photo, by_photo), _uri(Image.fromarray(frame))))
    return _Video(file, len(photos), lines, stills)


def _still_title(photo: dict[str, Any], by_photo: dict[str, list[dict[str, Any]]]) -> str:
    named = ', '.join(row['emotion'] for row in by_photo[photo['photo']] if row['emotion'])
    return f'{photo["seconds"]:.2f} s: {named or "no face"}'


def overlay_name(photo: str) -> str:
    """Where a photo's picture of answers is, relative to the results: flat, and unambiguous."""
    flat = photo.strip('/').replace('/', '__').replace('..', '_')
    return f'overlays/{flat}.jpg'


def _uri(picture: Image.Image) -> str:
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, 'JPEG', quality=86)
    return 'data:image/jpeg;base64,' + base64.b64encode(file.getvalue()).decode('ascii')
