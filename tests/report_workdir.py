"""A small finished run, written by hand."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from emola_jax.evaluation import faces
from emola_jax.facs import EMOTIONS
from emola_jax.metrics import rege
from emola_jax.metrics.scores import Scores
from input_pipeline.records import Record

AUS = (4, 9, 12)
HOSTILE = 'It shows <script>alert("x")</script> & happiness.'


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new('RGB', (6, 6), (shade, shade // 2, 90)).save(file, 'PNG')
    return file.getvalue()


def row(face: int, task: str, prediction: str, label: str, parsed: str | None) -> dict:
    return {
        'id': f'face{face}/{task}',
        'image': faces.file_name(png(face)),
        'task': task,
        'dataset': 'synthetic_faces',
        'instruction': f'What about {task}?',
        'prediction': prediction,
        'reference': f'The reference of {label}.',
        'label': label,
        'parsed': parsed,
        'rouge_l': face / 10,
        'finished': face != 3,
    }


PREDICTIONS = [
    row(0, 'emotion', HOSTILE, 'happiness', 'happiness'),
    row(1, 'emotion', 'It is happiness.', 'fear', 'happiness'),
    row(2, 'emotion', 'It is fear.', 'fear', 'fear'),
    row(3, 'emotion', 'Who knows.', 'fear', None),
    row(0, 'au', '1. AU4 - Brow Lowerer: x.\n2. AU9 - Lip Tightener: y.', '4, 12', '4, 9'),
    row(1, 'au', 'AU12 - Lip Corner Puller: x.', '12', '12'),
    row(2, 'au', 'No action units are active.', '', ''),
    row(3, 'au', '', '4', None),
]


def write(workdir: Path, *, base: str = 'embedded', dataset: str = 'synthetic_faces') -> Path:
    """Writes everything but report.html; face 1 has no landmarks."""
    points = np.linspace(-0.9, 0.9, 212, dtype=np.float32)
    records = [
        Record(
            id=f'face{face}',
            image=png(face),
            landmarks=points * np.nan if face == 1 else points,
            task='emotion',
            instruction='',
            response='',
            emotion=EMOTIONS.index('fear'),
            aus=(),
            source='test',
        )
        for face in range(4)
    ]
    faces.save(records, workdir)
    write_lines(workdir / 'predictions.jsonl', PREDICTIONS)
    write_lines(
        workdir / 'metrics.jsonl',
        [
            {'step': step, 'loss': 3 / step, 'lr': 1e-3, 'grad_norm': 1, 'tokens_per_second': 9}
            for step in range(1, 9)
        ],
    )
    scores = {task: score(task).to_json() for task in ('emotion', 'au')}
    (workdir / 'scores.json').write_text(json.dumps(scores))
    about = {
        'config': {
            'seed': 7,
            'model': {'vision': {'width': 16}, 'lora': {'rank': 4}},
            'base': {'kind': base},
            'data': {'dataset': dataset},
        },
        'base': {'fingerprint': 'abc123', 'description': 'A base <b>of nothing</b>'},
        'data': {'train': {'used': 12, 'dropped': 2, 'reasons': {'too long': 2}}},
        'versions': {'jax': '0.10'},
    }
    (workdir / 'config.json').write_text(json.dumps(about))
    return workdir


def score(task: str) -> Scores:
    rows = [row for row in PREDICTIONS if row['task'] == task]
    samples = [rege.Sample.from_row(row) for row in rows]
    return dataclasses.replace(rege.score(samples, task, AUS), cut_off=1)


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def add_to_scores(workdir: Path, **entries) -> dict:
    scores = json.loads((workdir / 'scores.json').read_text()) | entries
    (workdir / 'scores.json').write_text(json.dumps(scores))
    return scores
