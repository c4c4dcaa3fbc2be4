"""Evaluation: batched generation over a split, and REGE scores from the texts.

The batches are the same in every run and on every host, and each host answers the rows that are on
its devices; or rows take the next question as they end (`eval.refill`). Answers are appended as
they come, so a run that was killed goes on after them. Scores are a function of predictions.jsonl
alone.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from emola_jax.config.eval import EvalConfig
from emola_jax.evaluation import answer_log, faces, scheduler
from emola_jax.evaluation import questions as eval_plan
from emola_jax.evaluation.questions import Batch, Question
from emola_jax.experiment import prepare as experiments
from emola_jax.experiment import state
from emola_jax.experiment.prepare import Experiment
from emola_jax.facs import EMOTIONS
from emola_jax.files.json_values import JsonObject
from emola_jax.generation.generate import generate
from emola_jax.metrics import action_units, emotions, rege
from emola_jax.metrics.answer_row import AnswerRow
from emola_jax.metrics.rouge import rouge_l
from emola_jax.metrics.scores import Scores
from emola_jax.models.config import CLIP_MEAN
from emola_jax.models.emola import Emola, Params, unroll
from emola_jax.models.lora import merge_lora
from emola_jax.parallel import cpu_memory, hosts, sharding
from emola_jax.parallel.sharding import HostRows
from input_pipeline.prompt_batches import prompt_batch
from input_pipeline.records import TASKS, Record, RecordSource

SCORES_FILE = 'scores.json'

CONTROL = 'control'
"""The folder, in a workdir, of the answers to blank images with landmarks of other faces."""


def evaluate(
    experiment: Experiment, trainable: Params, *, step: int, blind: bool = False
) -> dict[str, Scores]:
    """Answers every question of the evaluated split and scores the answers.

    Args:
      experiment: the run.
      trainable: trained parameters, on the mesh.
      step: the optimiser step that they come from; answers of another step are not reused.
      blind: the control. Every face is replaced by a blank image and another face's landmarks.

    Returns:
      Scores by task; on hosts other than 0, which write none, {}.

    Raises:
      UserError: the config's `eval` section is at fault, or the split is empty.
    """
    config = experiment.config.eval
    folder = experiment.workdir / CONTROL if blind else experiment.workdir
    folder.mkdir(parents=True, exist_ok=True)
    split = experiment.data.splits[config.split]
    questions = eval_plan.ask(split, experiment.data.encoder, config, blind=blind)
    is_first = jax.process_index() == 0

    answered: set[int] = set()
    if is_first:
        answered = answer_log.answered(folder, questions, _identity(experiment, step))
        if not blind:
            faces.save((split.source[question.index] for question in questions), folder)
    asker = _Asker(experiment, config, blind)
    rows = _batch_rows(experiment, config)
    batches = [] if config.refill else eval_plan.plan(questions, config, rows=rows)
    groups = [batch.questions for batch in batches] or [(question,) for question in questions]
    left = _unanswered(groups, answered)
    if any(left):
        model, params = _to_answer_with(experiment, trainable, config)
        if config.refill:
            todo = list(itertools.compress(questions, left))
            found = _streamed(asker, model, params, todo)
        else:
            found = _batched(asker, model, params, list(itertools.compress(batches, left)))
        count = sum(len(group) for group in itertools.compress(groups, left))
        _write(found, folder, count=count, what='evaluate (control)' if blind else 'evaluate')
        hosts.wait_for_hosts('answers are written')
    if not is_first:
        return {}
    return score(answer_log.merge(folder, questions), experiment.data.scored_aus)


def score(rows: Sequence[AnswerRow], aus: Sequence[int]) -> dict[str, Scores]:
    """REGE under both scorings for each task among `rows`."""
    scores: dict[str, Scores] = {}
    for task in TASKS:
        of_task = [row for row in rows if row.task == task]
        if not of_task:
            continue
        found = rege.score([row.sample() for row in of_task], task=task, aus=aus)
        cut_off = sum(not row.finished for row in of_task)
        scores[task] = dataclasses.replace(found, cut_off=cut_off)
    return scores


def _batch_rows(experiment: Experiment, config: EvalConfig) -> int:
    """`eval.batch_size`, rounded up to a multiple of the devices that share a batch."""
    devices = sharding.batch_devices(experiment.mesh)
    return -(-config.batch_size // devices) * devices


def _unanswered(groups: Sequence[Sequence[Question]], answered: AbstractSet[int]) -> list[bool]:
    """Which groups are left to do: host 0 says so, and every host does the same."""
    hosts.wait_for_hosts('questions are known')
    left = [any(q.index not in answered for q in group) for group in groups]
    return [bool(one) for one in multihost_utils.broadcast_one_to_all(np.array(left))]


def _to_answer_with(
    experiment: Experiment, trainable: Params, config: EvalConfig
) -> tuple[Emola, Params]:
    """Model and parameters in the form that writes fastest."""
    model, params = experiment.model, state.merge(experiment.frozen, trainable)
    if config.merge:
        model, params = merge_lora(model, params)
        params = sharding.one_copy(params)
    return unroll(model, params) if config.unroll else (model, params)


Found = Iterator[tuple[int, dict[int, AnswerRow]]]
"""How many questions were answered, and the rows of those that this host owns, by their index."""


def _write(found: Found, folder: Path, *, count: int, what: str) -> None:
    """Appends answers as they come, with a progress bar."""
    host = jax.process_index()
    with (
        answer_log.Part(folder, host) as part,
        tqdm(total=count, desc=what, unit='answer', dynamic_ncols=True, disable=host != 0) as bar,
    ):
        for answers, rows in found:
            part.append(rows)
            bar.update(answers)


@dataclasses.dataclass(frozen=True)
class _Asker:
    """Makes prompts of questions."""

    experiment: Experiment
    config: EvalConfig
    blind: bool

    @property
    def source(self) -> RecordSource:
        return self.experiment.data.splits[self.config.split].source

    def prompts(
        self, questions: Mapping[int, Question], own: HostRows, length: int
    ) -> dict[str, np.ndarray]:
        """This host's rows: see `prompt_batch`, and 'keys' u32[rows, 2] to sample with.

        Args:
          questions: by row.
          own: the rows of this host.
          length: tokens that prompts are padded to.
        """
        here = [questions.get(row) for row in own.held]
        shown = [None if q is None else _shown(self.source, q) for q in here]
        arrays = prompt_batch(shown, self.experiment.data.encoder, length=length)
        if self.blind:
            arrays['images'] = _blank(arrays['images'])
        arrays['keys'] = np.zeros((len(here), 2), np.uint32)
        for place, question in enumerate(here):
            if question is not None:
                arrays['keys'][place] = eval_plan.key_words(question, self.experiment.config.seed)
        return arrays

    def row(self, question: Question, ids: np.ndarray) -> AnswerRow:
        """The answer as a row of predictions.jsonl."""
        return _row(self.experiment, self.source[question.index], ids)


def _batched(asker: _Asker, model: Emola, params: Params, batches: Sequence[Batch]) -> Found:
    """One batch after another, each to the end of its longest answer."""
    experiment, mesh = asker.experiment, asker.experiment.mesh
    own = sharding.host_rows(_batch_rows(experiment, asker.config), mesh)
    for batch in batches:
        questions = dict(enumerate(batch.questions))
        prompts = sharding.place_rows(asker.prompts(questions, own, batch.length), own, mesh)
        keys = jax.random.wrap_key_data(prompts.pop('keys'), impl='threefry2x32')
        tokens = generate(
            model,
            params,
            prompts,
            max_new_tokens=batch.max_new_tokens,
            eos_id=experiment.tokenizer.eos_id,
            sampler=asker.config.sampler,
            rng=keys,
        )
        ids = sharding.fetch_rows(tokens, mesh)
        answers = {
            questions[row].index: asker.row(questions[row], ids[row])
            for row in own.owned
            if row in questions
        }
        cpu_memory.give_back()  # the next batch may be of another shape
        yield len(questions), answers


def _streamed(asker: _Asker, model: Emola, params: Params, questions: Sequence[Question]) -> Found:
    """Rows that take the next question when they have ended."""
    experiment = asker.experiment
    settings = scheduler.plan(
        model, questions, asker.config, experiment.tokenizer.eos_id, experiment.mesh
    )
    found = scheduler.answers(
        settings, params, questions, asker.config.max_new_tokens, asker.prompts, experiment.mesh
    )
    for count, answers in found:
        yield (
            count,
            {question.index: asker.row(question, ids) for question, ids in answers.items()},
        )


def _shown(source: RecordSource, question: Question) -> Record:
    record = source[question.index]
    if question.landmarks_of == question.index:
        return record
    return dataclasses.replace(record, landmarks=source[question.landmarks_of].landmarks)


def _row(experiment: Experiment, record: Record, ids: np.ndarray) -> AnswerRow:
    ended = np.flatnonzero(ids == experiment.tokenizer.eos_id)
    finished = len(ended) > 0
    text = experiment.tokenizer.decode([int(i) for i in (ids[: ended[0]] if finished else ids)])
    if record.task == 'au':
        label = ', '.join(str(au) for au in record.aus)
        parsed = action_units.parse(text)
    else:
        label = EMOTIONS[record.emotion]
        parsed = emotions.parse(text)
    return AnswerRow(
        id=record.id,
        image=faces.file_name(record.image),
        task=record.task,
        dataset=experiment.config.data.dataset,
        instruction=record.instruction,
        prediction=text,
        reference=record.response,
        label=label,
        parsed=parsed,
        rouge_l=rouge_l(text, record.response),
        finished=finished,
    )


def _blank(images: np.ndarray) -> np.ndarray:
    """Images of the same shape that show CLIP's mean colour and nothing else."""
    grey = np.asarray([round(255 * channel) for channel in CLIP_MEAN], np.uint8)
    return np.broadcast_to(grey, images.shape).copy()


def _identity(experiment: Experiment, step: int) -> JsonObject:
    """What the answers depend on besides the parameters' values."""
    metadata = experiments.metadata(experiment)
    return {'step': step, 'config': metadata['config'], 'base': metadata['base']}
