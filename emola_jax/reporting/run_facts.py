"""What a report says of a run, read from its workdir: facts, scores, and their baselines."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.files import checksums, json_values
from emola_jax.files.json_values import JsonObject, field, optional
from emola_jax.files.whole import read_json, read_jsonl
from emola_jax.metrics import action_units, answer_row, emotions, readers
from emola_jax.metrics.answer_row import AnswerRow
from emola_jax.metrics.rouge import rouge_l
from emola_jax.metrics.sample import Sample
from emola_jax.metrics.scores import Interval, RunScores, Scoring, TaskScores
from emola_jax.reporting.paper_tables import RENDERED

TASK_TITLES = {'emotion': 'Emotions', 'au': 'Action units'}


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run, or answers of any model that were scored.

    Attributes:
      workdir: the folder that the pictures' paths start at.
      title: what the page is called.
      about: config.json: the keys config, base, data and versions; of answers alone, the
        data set's name and what they are.
      metrics: lines of metrics.jsonl.
      scores: of scores.json.
      predictions: of predictions.jsonl.
      calibration: calibration.json; {} without it.
    """

    workdir: Path
    title: str
    about: JsonObject
    metrics: list[JsonObject]
    scores: RunScores
    predictions: list[AnswerRow]
    calibration: JsonObject = dataclasses.field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """The tasks that were evaluated."""
        return [task for task in TASK_TITLES if task in self.scores.tasks]

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.about['config']['data']['dataset']

    @property
    def rendered(self) -> bool:
        """Whether the faces are rendered."""
        return self.dataset == RENDERED

    @property
    def base_kind(self) -> str:
        """'embedded', 'random' or 'llava'; '' for answers alone."""
        return self.about['config'].get('base', {}).get('kind', '')

    def of_task(self, task: str) -> list[AnswerRow]:
        """The predictions of one task."""
        return [row for row in self.predictions if row.task == task]

    def reader(self, task: str) -> str:
        """The version of the strict reader that the task's scores rest on."""
        scores = self.scores.tasks.get(task)
        return (scores.strict.reader if scores else None) or readers.FIRST


@dataclasses.dataclass(frozen=True)
class ScoreRow:
    """One line of a score table, in percent; None where there is no such number.

    `interval` holds the 95 % intervals that are known, by 's_re', 's_ge' and 's_rege'.
    """

    name: str
    s_re: float | None
    s_ge: float | None
    s_rege: float | None
    note: str = ''
    interval: Mapping[str, Interval] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Bar:
    """The F1 of one action unit or emotion, in percent; None if the test faces cannot tell.

    Attributes:
      key: 'AU12', or an emotion.
      name: the action unit's name; '' for an emotion.
      f1: under the strict scoring.
      reference: under the reference scoring.
      interval: 95 % interval of `f1`.
      count: test faces that show it.
    """

    key: str
    name: str
    f1: float | None
    reference: float | None
    interval: Interval | None
    count: int


_READ = ('predictions.jsonl', 'config.json', 'metrics.jsonl', 'scores.json', 'calibration.json')


def load(workdir: Path) -> Run:
    """Reads a workdir.

    Raises:
      UserError: a file of a finished run is missing, damaged or not JSON.
    """
    workdir = Path(workdir)
    for name in _READ:
        checksums.check_file(workdir / name)
    predictions = answer_row.read(workdir / 'predictions.jsonl')
    if not predictions:
        raise UserError(f'{workdir / "predictions.jsonl"}: no answers here; evaluate the run first')
    return Run(
        workdir=workdir,
        title=workdir.resolve().name,
        about=_read_about(workdir / 'config.json'),
        metrics=read_jsonl(workdir / 'metrics.jsonl', ('step', 'loss')),
        scores=_read_scores(workdir / 'scores.json', predictions),
        predictions=predictions,
        calibration=_read_calibration(workdir / 'calibration.json'),
    )


def from_answers(
    rows: Iterable[Mapping[str, object]],
    scores: TaskScores,
    *,
    folder: Path,
    title: str,
    dataset: str,
) -> Run:
    """What a report of answers alone says: of another model, or of a run whose config is gone.

    Args:
      rows: objects with id, task, prediction, reference and label, and whatever else a line of
        predictions.jsonl has; a picture that isn't there is left out.
      scores: by task.
      folder: where the pictures' paths start.
      title: what the page is called.
      dataset: the data set's name.

    Raises:
      UserError: a row lacks a field.
    """
    about = {
        'config': {'data': {'dataset': dataset}},
        'base': {'description': 'Answers that were scored without their model'},
        'data': {},
        'versions': {},
    }
    run = Run(folder, title, about, metrics=[], scores=RunScores(scores), predictions=[])
    of_tasks = [(str(row.get('task')), row) for row in rows]
    answers = [_completed(row, task, run) for task, row in of_tasks if task in scores]
    return dataclasses.replace(run, predictions=answers)


def _completed(row: Mapping[str, object], task: str, run: Run) -> AnswerRow:
    """A row with the fields that only our own evaluation writes."""
    sample = Sample.from_row(row)
    where, text = f'prediction {sample.id}', json_values.text
    label, parse = sample.label, action_units.parse
    if task == 'emotion':
        number, parse = emotions.parse_label(label), emotions.parse
        label = label if number is None else EMOTIONS[number]
    likeness = optional(row, 'rouge_l', json_values.number, where)
    image = optional(row, 'image', json_values.or_none(text), where)
    return AnswerRow(
        id=sample.id,
        image=image if image and (run.workdir / image).is_file() else None,
        task=task,
        dataset=run.dataset,
        instruction=optional(row, 'instruction', text, where) or '',
        prediction=sample.prediction,
        reference=sample.reference,
        label=label,
        parsed=parse(sample.prediction, run.reader(task)),
        rouge_l=rouge_l(sample.prediction, sample.reference) if likeness is None else likeness,
        finished=field(row, 'finished', json_values.flag, where) if 'finished' in row else True,
    )


def _read_json(path: Path) -> JsonObject:
    if not path.exists():
        raise UserError(f'{path}: missing; train and evaluate the run first')
    return read_json(path)


def _read_about(path: Path) -> JsonObject:
    about = _read_json(path)
    try:
        about['config']['data']['dataset'], about['base']['description']
    except (KeyError, TypeError):
        raise UserError(f'{path}: not what a run writes (config, base and data)') from None
    return about


def _read_scores(path: Path, predictions: Iterable[AnswerRow]) -> RunScores:
    if not path.exists():
        raise UserError(f'{path}: missing; train and evaluate the run first')
    scores = RunScores.read(path)
    for task in dict.fromkeys(row.task for row in predictions):
        if task not in scores.tasks:
            raise UserError(f'{path}: has no scores of task {task!r}; evaluate again (--mode=eval)')
    return scores


def _read_calibration(path: Path) -> JsonObject:
    if not path.exists():
        return {}
    try:
        found = read_json(path)
    except UserError as error:
        found, fault = {}, f' ({error})'
    else:
        fault = ''
    if not {'identity', 'temperature', 'about'} <= found.keys():
        raise UserError(
            f'{path}: not what `python -m emola_jax.calibrate` writes; remove it{fault}'
        )
    return found


def score_rows(run: Run, task: str) -> list[ScoreRow]:
    """Both scorings of a task, beside the control and scores of not looking.

    The control is held against its own chance: with the face hidden the lists of action units are
    of another length, and so are worth another score by luck.
    """
    scores = run.scores.tasks[task]
    rows = [
        _row('strict', scores.strict, 'read as a person would; every answer counts'),
        _row('reference', scores.reference, 'as the released script counts, faults included'),
    ]
    control = run.scores.control.get(task)
    if control:
        rows.append(_row('control', control.strict, 'blank image, another face’s landmarks'))
        rows.append(_chance('control-chance', control.strict, 'its answers dealt at random'))
    rows += [_chance('chance', scores.strict, 'the same answers dealt at random')]
    return [*rows, _guess(run, task)]


def ablation_rows(run: Run) -> dict[str, list[ScoreRow]]:
    """Task -> one row for each model of the ablation, strict scoring; empty without one."""
    models = run.scores.ablation
    return {
        task: [_row(name, scores[task].strict) for name, scores in models.items()]
        for task in run.tasks
        if models and all(task in scores for scores in models.values())
    }


def _row(name: str, scores: Scoring, note: str = '') -> ScoreRow:
    known = {key: pair for key, pair in (scores.interval or {}).items() if pair is not None}
    return ScoreRow(name, scores.s_re, scores.s_ge, scores.s_rege, note, known)


def _chance(name: str, strict: Scoring, note: str) -> ScoreRow:
    return ScoreRow(name, strict.chance, None, None, note)


def _guess(run: Run, task: str) -> ScoreRow:
    """The recognition score of an answer that never looks at the face."""
    rows = run.of_task(task)
    if task == 'emotion':
        counts = collections.Counter(row.label for row in rows)
        emotion, count = counts.most_common(1)[0]
        return ScoreRow('guess', 100 * count / len(rows), None, None, f'always “{emotion}”')
    present = [bar.count / len(rows) for bar in bars(run, 'au')]
    f1 = [200 * share / (1 + share) for share in present]
    mean = sum(f1) / len(f1) if f1 else None
    return ScoreRow('guess', mean, None, None, 'always names every action unit')


def bars(run: Run, task: str) -> list[Bar]:
    """F1 of each class under both scorings, and on how many test faces it is present."""
    if task not in run.tasks:
        return []
    strict, reference = run.scores.tasks[task].strict, run.scores.tasks[task].reference
    if task == 'emotion':
        return [
            Bar(
                name,
                '',
                entry.f1,
                reference.per_class[name].f1,
                entry.f1_interval,
                entry.support,
            )
            for name, entry in strict.per_class.items()
            if entry.f1 is not None
        ]
    intervals = strict.per_au_interval or {}
    return [
        Bar(
            f'AU{au}',
            AU_NAMES[int(au)],
            f1,
            reference.per_au.get(au),
            intervals.get(au),
            strict.positives_per_au[au],
        )
        for au, f1 in strict.per_au.items()
    ]


def confusion(run: Run) -> dict[str, dict[str, int]]:
    """Truth -> what the answer names (strict scoring) -> number of faces; emotions that occur."""
    table = run.scores.tasks['emotion'].strict.confusion if 'emotion' in run.tasks else None
    if table is None:
        return {}
    return {
        truth: dict(zip(table.columns, counts, strict=True))
        for truth, counts in table.rows.items()
        if any(counts)
    }


def probabilities(run: Run) -> dict[str, JsonObject]:
    """Task -> how far its probabilities may be believed, as `calibrate` measured it."""
    about = run.calibration.get('about', {})
    return {task: about[task] for task in TASK_TITLES if 'bins_after' in about.get(task, {})}


def curves(run: Run) -> dict[str, tuple[list[float], list[float]]]:
    """Title -> (steps, values) of what training logged."""
    titles = {
        'loss': 'Loss (nats a token)',
        'grad_norm': 'Gradient norm',
        'lr': 'Learning rate',
        'tokens_per_second': 'Tokens a second',
    }
    found: dict[str, tuple[list[float], list[float]]] = {}
    for key, title in titles.items():
        rows = [row for row in run.metrics if row.get(key) is not None]
        if rows:
            found[title] = ([row['step'] for row in rows], [row[key] for row in rows])
    return found


def settings(run: Run) -> dict[str, dict[str, object]]:
    """The config, a section at a time, with dotted names."""
    sections: dict[str, dict[str, object]] = {}
    for name, value in run.about['config'].items():
        if isinstance(value, Mapping):
            sections[name] = dict(_flatten(value))
        else:
            sections.setdefault('run', {})[name] = value
    return sections


def _flatten(tree: Mapping[str, object], prefix: str = '') -> Iterable[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value
