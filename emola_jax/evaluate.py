"""Evaluation: batched generation over a split, and REGE scores from the texts.

Predictions are appended a batch at a time, so a run that was killed goes on behind its last whole
batch. Batches are the same in every run, which keeps the texts the same too. Scores are a function
of predictions.jsonl alone.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from emola_jax import experiment as experiments
from emola_jax import report_faces, sharding, train_state
from emola_jax.experiment import Experiment
from emola_jax.facs import EMOTIONS
from emola_jax.files import read_jsonl, write_json
from emola_jax.generate import generate
from emola_jax.metrics import action_units, emotions, rege
from emola_jax.metrics.rouge import rouge_l
from emola_jax.models.config import CLIP_MEAN
from emola_jax.models.emola import unroll
from emola_jax.models.lora import merge_lora
from emola_jax.samplers import Sampler
from emola_jax.train_state import Params
from input_pipeline.prompts import prompt_batch, prompt_length
from input_pipeline.records import TASKS, Record

PREDICTIONS_FILE = 'predictions.jsonl'
SCORES_FILE = 'scores.json'

CONTROL = 'control'
"""The folder, in a workdir, of the answers to blank images with landmarks of other faces."""


@dataclasses.dataclass(frozen=True)
class _Batch:
    records: tuple[Record, ...]
    prompt_length: int
    max_new_tokens: int


def evaluate(
    experiment: Experiment, trainable: Params, *, step: int, blind: bool = False
) -> dict[str, Any]:
    """Answers every question of the evaluated split and scores the answers.

    Args:
      experiment: the run.
      trainable: trained parameters, on the mesh.
      step: the optimiser step that they come from; answers of another step are not reused.
      blind: the control. Every face is replaced by a blank image and another face's landmarks.

    Returns:
      Scores by task, as in scores.json.
    """
    folder = experiment.workdir / CONTROL if blind else experiment.workdir
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PREDICTIONS_FILE
    batches = _plan(experiment, blind=blind)
    done = _resume(path, batches, _identity(experiment, step))
    if not blind:
        report_faces.save([r for batch in batches for r in batch.records], folder)
    _answer(experiment, trainable, batches, done, path, blind=blind)
    return score(read_jsonl(path), experiment.data.scored_aus)


def score(rows: Sequence[dict[str, Any]], aus: Sequence[int]) -> dict[str, Any]:
    """REGE under both scorings for each task among `rows` (lines of predictions.jsonl)."""
    scores: dict[str, Any] = {}
    for task in TASKS:
        of_task = [row for row in rows if row['task'] == task]
        if not of_task:
            continue
        samples = [rege.Sample.from_row(row) for row in of_task]
        scores[task] = rege.score(samples, task=task, aus=aus)
        scores[task]['cut_off'] = sum(not row['finished'] for row in of_task)
    return scores


def _plan(experiment: Experiment, *, blind: bool) -> list[_Batch]:
    config = experiment.config.eval
    split = experiment.data.splits[config.split]
    indices = split.selection.indices[: config.limit or None]
    records = [split.source[int(index)] for index in indices]
    plan = []
    for task in TASKS:
        of_task = [record for record in records if record.task == task]
        if not of_task:
            continue
        if blind:
            of_task = _deal_landmarks(of_task)
        length = prompt_length(of_task, experiment.data.encoder)
        for first in range(0, len(of_task), config.batch_size):
            chunk = tuple(of_task[first : first + config.batch_size])
            plan.append(_Batch(chunk, length, config.max_new_tokens[task]))
    return plan


def _answer(
    experiment: Experiment,
    trainable: Params,
    batches: Sequence[_Batch],
    done: int,
    path: Path,
    *,
    blind: bool,
) -> None:
    if done == len(batches):
        return
    params = train_state.merge(experiment.frozen, trainable)
    model, params = merge_lora(experiment.model, params)
    if experiment.config.eval.unroll:
        model, params = unroll(model, params)
    total = sum(len(batch.records) for batch in batches)
    first = sum(len(batch.records) for batch in batches[:done])
    title = 'evaluate (control)' if blind else 'evaluate'
    bar = tqdm(total=total, initial=first, desc=title, unit='answer', dynamic_ncols=True)
    with path.open('a', encoding='utf-8') as file:
        for batch in batches[done:]:
            arrays = prompt_batch(
                batch.records,
                experiment.data.encoder,
                length=batch.prompt_length,
                rows=experiment.config.eval.batch_size,
            )
            if blind:
                arrays['images'] = _blank(arrays['images'])
            tokens = generate(
                model,
                params,
                sharding.shard_batch(arrays, experiment.mesh),
                max_new_tokens=batch.max_new_tokens,
                eos_id=experiment.tokenizer.eos_id,
                sampler=Sampler(**experiment.config.eval.sampler),
                rng=jax.random.key(experiment.config.seed),
            )
            rows = [
                _row(experiment, record, ids)
                for record, ids in zip(batch.records, np.asarray(tokens), strict=False)
            ]
            # One write a batch: a kill leaves whole lines of whole batches, or a tail that
            # `_resume` cuts off.
            file.write(''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows))
            file.flush()
            os.fsync(file.fileno())
            bar.update(len(rows))
    bar.close()


def _row(experiment: Experiment, record: Record, ids: np.ndarray) -> dict[str, Any]:
    ended = np.flatnonzero(ids == experiment.tokenizer.eos_id)
    finished = len(ended) > 0
    text = experiment.tokenizer.decode([int(i) for i in (ids[: ended[0]] if finished else ids)])
    if record.task == 'au':
        label = ', '.join(str(au) for au in record.aus)
        parsed: Any = action_units.parse(text)
    else:
        label = EMOTIONS[record.emotion]
        parsed = emotions.parse(text)
    return {
        'id': record.id,
        'image': report_faces.file_name(record.image),
        'task': record.task,
        'dataset': experiment.config.data.dataset,
        'instruction': record.instruction,
        'prediction': text,
        'reference': record.response,
        'label': label,
        'parsed': parsed,
        'rouge_l': rouge_l(text, record.response),
        'finished': finished,
    }


def _blank(images: np.ndarray) -> np.ndarray:
    """Images of the same shape that show CLIP's mean colour and nothing else."""
    grey = np.asarray([round(255 * channel) for channel in CLIP_MEAN], np.uint8)
    return np.broadcast_to(grey, images.shape).copy()


def _deal_landmarks(records: Sequence[Record]) -> list[Record]:
    """The records with each other's landmarks: one random cycle, so that none keeps its own."""
    order = np.random.default_rng(0).permutation(len(records))
    giver = dict(zip(order, np.roll(order, 1), strict=True))
    return [
        dataclasses.replace(record, landmarks=records[giver[i]].landmarks)
        for i, record in enumerate(records)
    ]


def _identity(experiment: Experiment, step: int) -> dict[str, Any]:
    """What the answers depend on beside the parameters' values."""
    metadata = experiments.metadata(experiment)
    return {'step': step, 'config': metadata['config'], 'base': metadata['base']}


def _resume(path: Path, batches: Sequence[_Batch], identity: dict[str, Any]) -> int:
    """Cuts the file back to whole batches of this very run; returns how many there are."""
    stamp = path.with_suffix('.run.json')
    if not stamp.exists() or json.loads(stamp.read_text()) != identity:
        path.write_text('')
        write_json(stamp, identity)
        return 0
    rows = read_jsonl(path)
    done, used = 0, 0
    for batch in batches:
        ids = [record.id for record in batch.records]
        if [row['id'] for row in rows[used : used + len(ids)]] != ids:
            break
        done, used = done + 1, used + len(ids)
    lines = path.read_bytes().splitlines(keepends=True)[:used]
    with path.open('r+b') as file:
        file.truncate(sum(len(line) for line in lines))
    return done
