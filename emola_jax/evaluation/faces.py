"""The evaluated faces next to their answers, so that a report needs nothing but the workdir."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from emola_jax.files.whole import atomic_write, write_json
from input_pipeline.records import Record

FACES_FOLDER = 'faces'
LANDMARKS_FILE = 'landmarks.json'


def file_name(image: bytes) -> str:
    """The name that an encoded picture is stored under, relative to the workdir."""
    suffix = 'png' if image.startswith(b'\x89PNG') else 'jpg'
    return f'{FACES_FOLDER}/{hashlib.sha256(image).hexdigest()[:16]}.{suffix}'


def save(records: Iterable[Record], workdir: Path) -> None:
    """Writes each distinct picture once, and all landmarks (not extracted = null) in one file."""
    landmarks = {}
    for record in records:
        name = file_name(record.image)
        if not (workdir / name).exists():
            with atomic_write(workdir / name) as partial:
                partial.write_bytes(record.image)
        points = [round(float(x), 5) for x in record.landmarks]
        landmarks[name] = points if np.isfinite(points).all() else None
    write_json(workdir / FACES_FOLDER / LANDMARKS_FILE, landmarks)


def load_landmarks(workdir: Path) -> dict[str, np.ndarray | None]:
    """File name -> f32[212] in [-1, 1], or None where there are none."""
    path = workdir / FACES_FOLDER / LANDMARKS_FILE
    if not path.exists():
        return {}
    stored = json.loads(path.read_text())
    return {k: None if v is None else np.asarray(v, np.float32) for k, v in stored.items()}
