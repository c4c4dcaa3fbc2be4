"""What a run loses where its landmarks are computed, and what its probabilities are worth.

    python -m emola_jax.calibrate runs/mini
    python benchmarks/computed_landmarks.py runs/mini
    python benchmarks/computed_landmarks.py runs/mini --faces=40 --no-text

On the test split of the run's data set, people that training never saw:

- every question is answered twice, with the exact landmarks and with those that BlazeFace and
  FaceMesh find in the picture, and both are scored (S_re, strict scoring);
- the probabilities that `python -m emola_jax.predict` gives, from computed landmarks: the area
  under the ROC curve of each action unit, and the expected calibration error without and with
  what `calibrate` fitted on the validation split.

Answers are kept in the run's folder until the end: after a kill the same command goes on.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emola_jax.cli import calibrate
from emola_jax.experiment import trained
from emola_jax.experts import landmark_cache
from emola_jax.facs import EMOTIONS
from emola_jax.files.kept_rows import KeptRows
from emola_jax.files.whole import write_json
from emola_jax.metrics import rege
from emola_jax.parallel import hosts
from emola_jax.predict import calibration
from emola_jax.predict.load import load
from emola_jax.predict.model import Predictor
from input_pipeline.prompt_batches import prompt_length
from input_pipeline.records import TASKS, Record

LOSS_LIMIT = 3.0
"""Points of S_re that computed landmarks may cost."""


def main() -> None:
    """Measures, prints one JSON; exits with 1 if computed landmarks cost too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('run', type=Path)
    parser.add_argument('--split', default='test')
    parser.add_argument('--faces', type=int, default=0, help='only the first ones (0: all)')
    parser.add_argument('--batch', type=int, default=70)
    parser.add_argument('--no-text', dest='text', action='store_false')
    parser.add_argument('--out', type=Path, help='also write the JSON there')
    arguments = parser.parse_args()
    hosts.start(trained.cpu_devices(arguments.run))
    checkpoint = trained.look(arguments.run)
    model = load(checkpoint, batch=arguments.batch)
    exact = calibrate.read_split(checkpoint.config, arguments.split)
    exact = exact[: 2 * arguments.faces or None]
    computed, kept = landmark_cache.of_records(exact, model.finder)
    kept_rows = KeptRows(
        arguments.run / 'computed_landmarks',
        calibrate.rows_identity(checkpoint, arguments.split),
    )
    result: dict[str, Any] = {
        'records': len(exact),
        'landmarks_not_found': int(kept.sum()),
        'probabilities': measure_probabilities(model, computed, kept_rows),
    }
    if arguments.text:
        result['s_re'] = {
            name: measure_answers(model, records, name, kept_rows)
            for name, records in (('exact', exact), ('computed', computed))
        }
        result['loss'] = {
            task: result['s_re']['exact'][task] - result['s_re']['computed'][task]
            for task in result['s_re']['exact']
        }
    print(json.dumps(result, indent=2))
    if arguments.out:
        write_json(arguments.out, result)
    kept_rows.remove()
    if any(loss > LOSS_LIMIT for loss in result.get('loss', {}).values()):
        raise SystemExit(f'computed landmarks cost more than {LOSS_LIMIT} points of S_re')


def measure_answers(
    model: Predictor, records: Sequence[Record], name: str, kept: KeptRows
) -> dict[str, float]:
    """S_re by task, strict scoring, of the written answers to the records' own questions."""
    scores = {}
    for task in TASKS:
        # Questions of one length side by side: each length is another program to compile.
        chosen = sorted(
            (record for record in records if record.task == task),
            key=lambda record: prompt_length(record, model.encoder),
        )
        stage = f'{name} landmarks, {task}'
        texts = kept.map(stage, chosen, model.batch, functools.partial(_texts, model, task))
        samples = [
            rege.Sample.from_row(_row(record, text))
            for record, text in zip(chosen, texts, strict=True)
        ]
        if samples:
            scores[task] = rege.score(samples, task=task, aus=model.codes).strict.s_re
    return scores


def _texts(model: Predictor, task: str, records: Sequence[Record]) -> list[str]:
    return [answer.text for answer in model.write(records, task)]


def measure_probabilities(
    model: Predictor, records: Sequence[Record], kept: KeptRows
) -> dict[str, Any]:
    """AUC by action unit, accuracy of the likeliest emotion, calibration errors."""
    scores = calibrate.score(model, records, kept)
    made = model.calibration
    areas = calibration.au_areas(scores.au_log_odds, scores.aus, model.codes)
    known = [area for area in areas.values() if area is not None]
    rows = np.flatnonzero(scores.emotions >= 0)
    right = scores.emotion_log_probs[rows].argmax(1) == scores.emotions[rows]
    return {
        'calibrated': made.fitted,
        'au_auc': areas,
        'au_auc_mean': float(np.mean(known)) if known else None,
        'au_calibration': calibration.au_errors(scores.au_log_odds, scores.aus, made),
        'emotion_accuracy': float(right.mean()),
        'emotion_calibration': calibration.emotion_errors(
            scores.emotion_log_probs, scores.emotions, made
        ),
    }


def _row(record: Record, prediction: str) -> dict[str, Any]:
    label = ', '.join(map(str, record.aus)) if record.task == 'au' else EMOTIONS[record.emotion]
    return {
        'id': record.id,
        'task': record.task,
        'prediction': prediction,
        'reference': record.response,
        'label': label,
    }


if __name__ == '__main__':
    main()
