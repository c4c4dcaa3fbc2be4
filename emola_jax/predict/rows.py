"""Rows of the results: what is written of a face and a photo, and what a row must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeGuard

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.files.json_values import JsonObject
from emola_jax.files.names import readable
from emola_jax.files.texts import quoted
from emola_jax.predict.inputs import Shot
from emola_jax.predict.listing import Input
from emola_jax.predict.model import FaceAnswer

Row = JsonObject
Key = tuple[str, float | None]
"""What tells a photo or frame apart: its file, and the seconds of a frame."""

ANSWERED, NO_FACE, UNREADABLE = 'answered', 'no face', 'unreadable'


def key(row: JsonObject) -> Key:
    """Of a row of either kind."""
    return row['file'], row['seconds']


def seconds_of(shot: Shot) -> float | None:
    """The time of a frame as rows keep it."""
    return None if shot.seconds is None else round(shot.seconds, 3)


def face_row(one: Input, shot: Shot, number: int, face: FaceAnswer) -> Row:
    """One face as JSON; positions in pixels of the photo as it is, upright."""
    assert shot.pixels is not None
    scale = shot.size[0] / shot.pixels.shape[1]
    return {
        'photo': readable(shot.name),
        'file': one.file,
        'seconds': seconds_of(shot),
        'face': number,
        'box': [round(edge * scale, 1) for edge in face.box],
        'score': round(face.score, 4),
        'landmarks': [[round(float(v) * scale, 2) for v in point] for point in face.points],
        'emotion': face.emotion,
        'emotions': {name: round(p, 4) for name, p in face.emotions.items()},
        'active_aus': list(face.active_aus),
        'aus': {str(au): round(p, 4) for au, p in face.aus.items()},
        'emotion_text': face.emotion_text,
        'au_text': face.au_text,
        'answers': face.answers,
        'flags': list(face.flags),
    }


def photo_row(one: Input, shot: Shot, faces: int, stem: str) -> Row:
    """One photo or frame as JSON.

    Args:
      one: its file.
      shot: what was read.
      faces: how many there are.
      stem: of the files that are made for it.
    """
    status = UNREADABLE if shot.pixels is None else ANSWERED if faces else NO_FACE
    return {
        'photo': readable(shot.name),
        'file': one.file,
        'bytes': one.size,
        'modified': one.modified,
        'seconds': seconds_of(shot),
        'status': status,
        'fault': readable(shot.fault),
        'faces': faces,
        'width': shot.size[0],
        'height': shot.size[1],
        'stem': stem,
    }


def header(aus: Sequence[str], questions: Sequence[str]) -> list[str]:
    """The columns of the table."""
    return [
        *['photo', 'seconds', 'face', 'x0', 'y0', 'x1', 'y1', 'score', 'emotion'],
        *[f'p_{emotion}' for emotion in EMOTIONS],
        *['active_aus', *[f'p_au{au}' for au in aus], 'emotion_text', 'au_text'],
        *[*questions, 'flags', 'landmarks', 'file'],
    ]


def cells(row: Row, aus: Sequence[str], questions: Sequence[str]) -> Iterator[object]:
    """A face's row of the table."""
    yield from (row['photo'], row['seconds'], row['face'], *row['box'], row['score'])
    yield row['emotion']
    yield from (row['emotions'].get(emotion, '') for emotion in EMOTIONS)
    yield ' '.join(map(str, row['active_aus']))
    yield from (row['aus'].get(au, '') for au in aus)
    yield from (row['emotion_text'], row['au_text'])
    yield from (row['answers'].get(question, '') for question in questions)
    yield '; '.join(row['flags'])
    yield ' '.join(str(value) for point in row['landmarks'] for value in point)
    yield row['file']


def check(row: Row, fields: Mapping[str, Field], where: str) -> None:
    """Finds out whether a row that was read holds what is written.

    Args:
      row: of either kind.
      fields: `PHOTO_FIELDS` or `FACE_FIELDS`.
      where: its file and line, for the message.

    Raises:
      UserError: names the field.
    """
    for name, (is_right, expected) in fields.items():
        if name not in row:
            raise UserError(f"{where}: field '{name}' is missing")
        if not is_right(row[name]):
            found = quoted(row[name])
            raise UserError(f"{where}: field '{name}' is {found}, expected {expected}")


Check = Callable[[object], bool]
Field = tuple[Check, str]

_FARTHEST = 1e9  # pixels, seconds


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.encode(errors='replace').decode() == value


def _is_stem(value: object) -> bool:
    return (
        _is_text(value)
        and readable(value) == value
        and value[:1] not in ('', '.')
        and '/' not in value
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_place(value: object) -> bool:
    return _is_number(value) and abs(value) < _FARTHEST  # false for NaN as well


def _is_time(value: object) -> bool:
    return value is None or _is_place(value)


def _list_of(is_right: Check, length: int | None = None) -> Check:
    def is_list(value: object) -> bool:
        if not isinstance(value, list) or length not in (None, len(value)):
            return False
        return all(map(is_right, value))

    return is_list


def _dict_of(is_right: Check, is_key: Callable[[str], bool]) -> Check:
    def is_dict(value: object) -> bool:
        if not isinstance(value, dict):
            return False
        return all(is_key(name) and is_right(entry) for name, entry in value.items())

    return is_dict


_TEXT: Field = (_is_text, 'a text')
_COUNT: Field = (_is_count, 'a whole number')
_TIME: Field = (_is_time, 'seconds or null')
_CODES = frozenset(map(str, AU_NAMES))

PHOTO_FIELDS: dict[str, Field] = {
    'photo': _TEXT,
    'file': _TEXT,
    'bytes': _COUNT,
    'modified': (lambda value: isinstance(value, int), 'microseconds'),
    'seconds': _TIME,
    'status': (
        lambda value: value in (ANSWERED, NO_FACE, UNREADABLE),
        f'{ANSWERED!r}, {NO_FACE!r} or {UNREADABLE!r}',
    ),
    'fault': _TEXT,
    'faces': _COUNT,
    'width': _COUNT,
    'height': _COUNT,
    'stem': (_is_stem, 'the beginning of the name of a file'),
}
FACE_FIELDS: dict[str, Field] = {
    'photo': _TEXT,
    'file': _TEXT,
    'seconds': _TIME,
    'face': _COUNT,
    'box': (_list_of(_is_place, 4), 'four numbers'),
    'score': (_is_number, 'a number'),
    'landmarks': (_list_of(_list_of(_is_place, 2)), 'a list of x and y'),
    'emotion': (lambda value: value in ('', *EMOTIONS), 'an emotion'),
    'emotions': (_dict_of(_is_number, EMOTIONS.__contains__), 'emotions with numbers'),
    'active_aus': (_list_of(_is_count), 'a list of action units'),
    'aus': (_dict_of(_is_number, _CODES.__contains__), 'action units with numbers'),
    'emotion_text': _TEXT,
    'au_text': _TEXT,
    'answers': (_dict_of(_is_text, _is_text), 'questions with answers'),
    'flags': (_list_of(_is_text), 'a list of texts'),
}
