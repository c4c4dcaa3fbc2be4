"""The answers on disk: a JSON line and a CSV row a face, a line a photo, and going on from there.

A photo is done when it has its line in photos.jsonl, which is written last; faces of photos that
have none are thrown away by the next start.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.files import atomic_write, read_jsonl, write_json
from emola_jax.predict.inputs import Shot
from emola_jax.predict.model import FaceAnswer

FACES_FILE, TABLE_FILE, PHOTOS_FILE = 'predictions.jsonl', 'predictions.csv', 'photos.jsonl'
_SETTINGS_FILE = 'settings.json'

ANSWERED, NO_FACE, UNREADABLE = 'answered', 'no face', 'unreadable'


@dataclasses.dataclass(frozen=True)
class Results:
    """The folder of a run of the command."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, settings: dict[str, Any], *, overwrite: bool) -> Results:
        """Makes the folder, or goes on in it.

        Args:
          folder: of the results.
          settings: what answers depend on; JSON-able.
          overwrite: whether answers of other settings may be replaced.

        Raises:
          UserError: it holds answers of other settings.
        """
        made, path = cls(folder), folder / _SETTINGS_FILE
        folder.mkdir(parents=True, exist_ok=True)
        same = path.is_file() and json.loads(path.read_text()) == settings
        if not same or overwrite:
            if path.is_file() and not overwrite:
                raise UserError(
                    f'{folder}: holds answers of another run or of other settings; give another '
                    '--out, or --overwrite'
                )
            for name in (FACES_FILE, PHOTOS_FILE):
                (folder / name).unlink(missing_ok=True)
            write_json(path, settings)
        made._cut_back()
        return made

    def done(self) -> frozenset[str]:
        """Names of the photos and frames that are answered."""
        return frozenset(row['photo'] for row in self.photos())

    def photos(self) -> list[dict[str, Any]]:
        """A row a photo: photo, file, seconds, status, fault, faces, width, height."""
        return read_jsonl(self.folder / PHOTOS_FILE)

    def faces(self) -> list[dict[str, Any]]:
        """A row a face, see `face_row`."""
        return read_jsonl(self.folder / FACES_FILE)

    def add(self, shots: Sequence[Shot], answers: Sequence[Sequence[FaceAnswer]]) -> None:
        """Appends some photos and their faces."""
        faces = [
            face_row(shot, number, face)
            for shot, found in zip(shots, answers, strict=True)
            for number, face in enumerate(found, start=1)
        ]
        _append(self.folder / FACES_FILE, faces)
        rows = [_photo_row(s, len(found)) for s, found in zip(shots, answers, strict=True)]
        _append(self.folder / PHOTOS_FILE, rows)

    def write_table(self) -> None:
        """Writes the CSV of all faces so far."""
        rows = self.faces()
        questions = list(dict.fromkeys(q for row in rows for q in row['answers']))
        aus = list(dict.fromkeys(au for row in rows for au in row['aus']))
        with (
            atomic_write(self.folder / TABLE_FILE) as partial,
            partial.open('w', newline='', encoding='utf-8') as file,
        ):
            writer = csv.writer(file)
            writer.writerow(
                ['photo', 'seconds', 'face', 'x0', 'y0', 'x1', 'y1', 'score', 'emotion']
                + [f'p_{emotion}' for emotion in EMOTIONS]
                + ['active_aus', *[f'p_au{au}' for au in aus], 'emotion_text', 'au_text']
                + [*questions, 'flags', 'landmarks']
            )
            writer.writerows(_cells(row, aus, questions) for row in rows)

    def _cut_back(self) -> None:
        done = self.done()
        for name in (PHOTOS_FILE, FACES_FILE):
            path = self.folder / name
            kept = [row for row in read_jsonl(path) if row['photo'] in done]
            with atomic_write(path) as partial:
                partial.write_text(''.join(map(_line, kept)), encoding='utf-8')


def face_row(shot: Shot, number: int, face: FaceAnswer) -> dict[str, Any]:
    """One face as JSON; positions in pixels of the photo as it is, upright."""
    assert shot.pixels is not None
    scale = shot.size[0] / shot.pixels.shape[1]
    return {
        'photo': shot.name,
        'seconds': None if shot.seconds is None else round(shot.seconds, 3),
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


def _photo_row(shot: Shot, faces: int) -> dict[str, Any]:
    status = UNREADABLE if shot.pixels is None else ANSWERED if faces else NO_FACE
    return {
        'photo': shot.name,
        'file': str(shot.path),
        'seconds': shot.seconds,
        'status': status,
        'fault': shot.fault,
        'faces': faces,
        'width': shot.size[0],
        'height': shot.size[1],
    }


def _cells(row: dict[str, Any], aus: Sequence[str], questions: Sequence[str]) -> Iterator[Any]:
    yield from (row['photo'], row['seconds'], row['face'], *row['box'], row['score'])
    yield row['emotion']
    yield from (row['emotions'].get(emotion, '') for emotion in EMOTIONS)
    yield ' '.join(map(str, row['active_aus']))
    yield from (row['aus'].get(au, '') for au in aus)
    yield from (row['emotion_text'], row['au_text'])
    yield from (row['answers'].get(question, '') for question in questions)
    yield '; '.join(row['flags'])
    yield ' '.join(str(value) for point in row['landmarks'] for value in point)


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open('a', encoding='utf-8') as file:
        file.write(''.join(map(_line, rows)))
        file.flush()
        os.fsync(file.fileno())


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + '\n'
