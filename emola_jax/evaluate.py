"""Evaluation: batched generation over a split, and REGE scores from the texts.

The batches are the same in every run and on every host, and each host answers the rows that lie on
its devices. Answers are appended a batch at a time, so a run that was killed goes on behind its
last whole batch. Scores are a function of predictions.jsonl alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from emola_jax import answer_files, eval_plan, report_faces, runtime, sharding, train_state
from emola_jax import experiment as experiments
from emola_jax.eval_plan import Batch, EvalConfig, Question
from emola_jax.experiment import Experiment
from emola_jax.facs import EMOTIONS
from emola_jax.generate import generate
from emola_jax.metrics import action_units, emotions, rege
from emola_jax.metrics.rouge import rouge_l
from emola_jax.models.config import CLIP_MEAN
from emola_jax.models.emola import unroll
from emola_jax.models.lora import merge_lora
from emola_jax.sharding import HostRows
from emola_jax.train_state import Params
from input_pipeline.prompts import prompt_batch
from input_pipeline.records import TASKS, Record, RecordSource

SCORES_FILE = 'scores.json'

CONTROL = 'control'
"""The folder, in a workdir, of the answers to blank images with landmarks of other faces."""


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
      Scores by task, as in scores.json; on hosts other than 0, which write none, {}.

    Raises:
      UserError: the config's `eval` section is at fault, or the split is empty.
    """
    config = EvalConfig.from_config_dict(experiment.config.eval)
    folder = experiment.workdir / CONTROL if blind else experiment.workdir
    folder.mkdir(parents=True, exist_ok=True)
    split = experiment.data.splits[config.split]
    questions = eval_plan.ask(split, experiment.data.encoder, config, blind=blind)
    devices = sharding.batch_devices(experiment.mesh)
    rows = -(-config.batch_size // devices) * devices
    batches = eval_plan.plan(questions, config, rows=rows)
    is_first = jax.process_index() == 0

    answered: set[int] = set()
    if is_first:
        answered = answer_files.answered(folder, questions, _identity(experiment, step))
        if not blind:
            report_faces.save((split.source[question.index] for question in questions), folder)
    left = _unanswered(batches, answered)
    if left:
        own = sharding.host_rows(rows, experiment.mesh)
        _answer(experiment, trainable, config, left, own, folder, blind=blind)
        runtime.wait_for_hosts('answers are written')
    if not is_first:
        return {}
    return score(answer_files.merge(folder, questions), experiment.data.scored_aus)


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


def _unanswered(batches: Sequence[Batch], answered: AbstractSet[int]) -> list[Batch]:
    """What is left to do: host 0 says so, and every host does the same batches."""
    runtime.wait_for_hosts('questions are known')
    left = [any(q.index not in answered for q in batch.questions) for batch in batches]
    left = multihost_utils.broadcast_one_to_all(np.array(left))
    return [batch for batch, is_left in zip(batches, left, strict=True) if is_left]


def _answer(
    experiment: Experiment,
    trainable: Params,
    config: EvalConfig,
    batches: Sequence[Batch],
    own: HostRows,
    folder: Path,
    *,
    blind: bool,
) -> None:
    """Answers `batches`; this host writes the rows that it owns."""
    model, params = experiment.model, train_state.merge(experiment.frozen, trainable)
    if config.merge:
        model, params = merge_lora(model, params)
    if config.unroll:
        model, params = unroll(model, params)
    source = experiment.data.splits[config.split].source
    host = jax.process_index()
    with (
        answer_files.Part(folder, host) as part,
        tqdm(
            total=sum(len(batch.questions) for batch in batches),
            desc='evaluate (control)' if blind else 'evaluate',
            unit='answer',
            dynamic_ncols=True,
            disable=host != 0,
        ) as bar,
    ):
        for batch in batches:
            records = {
                row: _shown(source, question)
                for row, question in enumerate(batch.questions)
                if row in own.held
            }
            prompts = sharding.place_rows(
                _prompts(experiment, batch, records, own, blind=blind), own, experiment.mesh
            )
            keys = jax.random.wrap_key_data(prompts.pop('keys'), impl='threefry2x32')
            tokens = generate(
                model,
                params,
                prompts,
                max_new_tokens=batch.max_new_tokens,
                eos_id=experiment.tokenizer.eos_id,
                sampler=config.sampler,
                rng=keys,
            )
            ids = sharding.fetch_rows(tokens, experiment.mesh)
            part.append(
                {
                    batch.questions[row].index: _row(experiment, records[row], ids[row])
                    for row in own.owned
                    if row in records
                }
            )
            bar.update(len(batch.questions))


def _shown(source: RecordSource, question: Question) -> Record:
    record = source[question.index]
    if question.landmarks_of == question.index:
        return record
    return dataclasses.replace(record, landmarks=source[question.landmarks_of].landmarks)


def _prompts(
    experiment: Experiment,
    batch: Batch,
    records: Mapping[int, Record],
    own: HostRows,
    *,
    blind: bool,
) -> dict[str, np.ndarray]:
    """This host's rows of a batch: see `prompt_batch`, and 'keys' u32[B, 2] to sample with."""
    shown = [records.get(row) for row in own.held]
    arrays = prompt_batch(shown, experiment.data.encoder, length=batch.length)
    if blind:
        arrays['images'] = _blank(arrays['images'])
    arrays['keys'] = np.zeros((len(own.held), 2), np.uint32)
    for place, row in enumerate(own.held):
        if row in records:
            question = batch.questions[row]
            arrays['keys'][place] = eval_plan.key_words(question, experiment.config.seed)
    return arrays


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


def _identity(experiment: Experiment, step: int) -> dict[str, Any]:
    """What the answers depend on beside the parameters' values."""
    metadata = experiments.metadata(experiment)
    return {'step': step, 'config': metadata['config'], 'base': metadata['base']}
