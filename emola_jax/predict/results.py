"""The answers on disk: photos.jsonl, predictions.jsonl and the table, and going on from there.

A photo is done when it has its row in photos.jsonl, which is written last, and as many faces in
predictions.jsonl as that row says. It is known by its resolved path, its size and the time of its
last change, not by the name that it was given: rows of a file that has changed go, and it is
answered again.
"""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.experiment import finished_run
from emola_jax.files import csv_files
from emola_jax.files.json_values import JsonObject
from emola_jax.files.names import file_stem, folded
from emola_jax.files.whole import (
    atomic_write,
    drop_torn_line,
    naming,
    numbered_jsonl,
    read_json,
    write_json,
)
from emola_jax.predict import rows
from emola_jax.predict.inputs import Shot
from emola_jax.predict.listing import Input
from emola_jax.predict.model import FaceAnswer
from emola_jax.predict.rows import ANSWERED, NO_FACE, UNREADABLE, Row

__all__ = ['ANSWERED', 'NO_FACE', 'UNREADABLE', 'Results']

FACES_FILE, TABLE_FILE, PHOTOS_FILE = 'predictions.jsonl', 'predictions.csv', 'photos.jsonl'
OVERLAYS, TIMELINES = 'overlays', 'timelines'
_SETTINGS_FILE = 'settings.json'
_FORMAT = 2
"""Version of the rows; folders of another version are not continued."""

_WAY_OUT = 'give another --out, or replace the answers with --overwrite'


class Results:
    """The folder of a run of the command; only one process may have it open.

    Attributes:
      folder: of the results.
    """

    def __init__(self, folder: Path, photos: Sequence[Row]) -> None:
        """Goes on with a folder whose photos have these rows; `open` reads them."""
        self.folder = folder
        self._stems = {row['file']: row['stem'] for row in photos}
        self._taken = set(map(folded, self._stems.values()))

    @classmethod
    def open(
        cls, folder: Path, settings: JsonObject, inputs: Iterable[Input], *, overwrite: bool
    ) -> Results:
        """Makes the folder, or goes on in it; rows that no longer hold are thrown away.

        These are rows of photos whose file has changed or could not be read, or whose faces are not
        all there.

        Args:
          folder: of the results.
          settings: what answers depend on; JSON-able.
          inputs: the files to be answered for, as they are now.
          overwrite: whether to start from nothing.

        Raises:
          UserError: it holds answers of other settings, damaged ones, or something else.
        """
        if finished_run.is_run(folder):
            raise UserError(f'{folder}: holds a trained run; give another --out')
        settings = {'format': _FORMAT, **settings}
        if overwrite or not _goes_on(folder, settings):
            if overwrite:
                _clear(folder)
            write_json(folder / _SETTINGS_FILE, settings)
        for name in (PHOTOS_FILE, FACES_FILE):
            drop_torn_line(folder / name)
        now = {one.file: one for one in inputs}
        photos, faces = _read(folder, PHOTOS_FILE), _read(folder, FACES_FILE)
        made = cls(folder, photos)
        kept = {rows.key(row): row for row in photos if _holds(row, now.get(row['file']))}
        counts = collections.Counter(map(rows.key, faces))
        kept = {key: row for key, row in kept.items() if row['faces'] == counts[key]}
        for row in photos:
            if rows.key(row) not in kept:
                made.overlay(row).unlink(missing_ok=True)
        if len(kept) < len(photos) or any(rows.key(row) not in kept for row in faces):
            # Faces last: those without a photo are harmless.
            _write(folder / PHOTOS_FILE, kept.values())
            _write(folder / FACES_FILE, [row for row in faces if rows.key(row) in kept])
        return made

    def photos(self) -> list[Row]:
        """One row each, see `rows.photo_row`."""
        return _read(self.folder, PHOTOS_FILE)

    def faces(self) -> list[Row]:
        """One row each, see `rows.face_row`."""
        return _read(self.folder, FACES_FILE)

    def add(
        self, shots: Sequence[tuple[Input, Shot]], answers: Sequence[Sequence[FaceAnswer]]
    ) -> None:
        """Appends some photos and their faces."""
        answered = list(zip(shots, answers, strict=True))
        _append(
            self.folder / FACES_FILE,
            [
                rows.face_row(one, shot, number, face)
                for (one, shot), found in answered
                for number, face in enumerate(found, start=1)
            ],
        )
        _append(
            self.folder / PHOTOS_FILE,
            [
                rows.photo_row(one, shot, len(found), self.stem(one))
                for (one, shot), found in answered
            ],
        )

    def stem(self, one: Input) -> str:
        """Start of the names of files made for a photo or video: unique, and never changed."""
        if one.file not in self._stems:
            stem = file_stem(one.name, one.file, self._taken)
            self._stems[one.file] = stem
            self._taken.add(folded(stem))
        return self._stems[one.file]

    def overlay(self, row: Row) -> Path:
        """Where the picture of a photo's or frame's answers is.

        Args:
          row: a photo's, or as much of one: 'stem' and 'seconds'.
        """
        at = '' if row['seconds'] is None else f'@{row["seconds"]:.3f}s'
        return self.folder / OVERLAYS / f'{row["stem"]}{at}.jpg'

    def write_table(self) -> None:
        """Writes the CSV of all faces so far."""
        faces = self.faces()
        questions = list(dict.fromkeys(q for row in faces for q in row['answers']))
        aus = list(dict.fromkeys(au for row in faces for au in row['aus']))
        cells = (rows.cells(row, aus, questions) for row in faces)
        csv_files.write(self.folder / TABLE_FILE, rows.header(aus, questions), cells)


def _goes_on(folder: Path, settings: JsonObject) -> bool:
    """Whether the folder holds answers of these settings; False if it holds no answers at all.

    Raises:
      UserError: it holds answers of others, or something else.
    """
    path = folder / _SETTINGS_FILE
    if not path.exists():
        if there := [name for name in (FACES_FILE, PHOTOS_FILE) if (folder / name).exists()]:
            raise UserError(
                f'{folder / there[0]}: is there, but no {_SETTINGS_FILE} that says what it belongs '
                f'to; {_WAY_OUT}'
            )
        return False
    try:
        found = read_json(path)
    except UserError as error:
        raise UserError(f'{error}; {_WAY_OUT}') from None
    if found == settings:
        return True
    answers = (folder / FACES_FILE, folder / PHOTOS_FILE)
    if not any(path.exists() and path.stat().st_size for path in answers):
        return False  # of a command that failed before its first answer
    if found.get('format') != _FORMAT:
        raise UserError(f'{folder}: holds answers of another version of the program; {_WAY_OUT}')
    different = [name for name in settings if found.get(name) != settings[name]]
    raise UserError(
        f'{folder}: holds answers of another run or of other settings '
        f'({", ".join(different) or "unknown ones"}); {_WAY_OUT}'
    )


def _clear(folder: Path) -> None:
    """Removes the answers, and of a folder that we made also the pictures."""
    is_ours = (folder / _SETTINGS_FILE).exists() and (folder / PHOTOS_FILE).exists()
    for name in (FACES_FILE, PHOTOS_FILE):
        (folder / name).unlink(missing_ok=True)
    if is_ours:
        for picture in [
            *folder.glob(f'{OVERLAYS}/*.jpg'),
            *folder.glob(f'{TIMELINES}/*.face*.svg'),
        ]:
            picture.unlink(missing_ok=True)


def _holds(row: Row, now: Input | None) -> bool:
    """Whether a row is to be kept: its file is as it was, or not asked for this time."""
    if now is None:
        return True
    same = (row['bytes'], row['modified']) == (now.size, now.modified)
    return same and row['status'] != UNREADABLE


def _read(folder: Path, name: str) -> list[Row]:
    fields = rows.PHOTO_FIELDS if name == PHOTOS_FILE else rows.FACE_FIELDS
    found = []
    try:
        for where, row in numbered_jsonl(folder / name):
            rows.check(row, fields, where)
            found.append(row)
    except UserError as error:
        raise UserError(f'{error}; the file is damaged: {_WAY_OUT}') from None
    return found


def _write(path: Path, kept: Iterable[Row]) -> None:
    with atomic_write(path) as partial:
        partial.write_text(''.join(map(_line, kept)), encoding='utf-8')


def _append(path: Path, new: Sequence[Row]) -> None:
    with naming(path), path.open('a', encoding='utf-8') as file:
        file.write(''.join(map(_line, new)))
        file.flush()
        os.fsync(file.fileno())


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + '\n'
