"""What a report says of a run, read from its workdir: facts, scores, and their baselines."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES
from emola_jax.files import read_jsonl

TASK_TITLES = {'emotion': 'Emotions', 'au': 'Action units'}


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      workdir: its folder.
      about: config.json: the keys config, base, data and versions.
      metrics: lines of metrics.jsonl.
      scores: scores.json.
      predictions: lines of predictions.jsonl.
    """

    workdir: Path
    about: dict[str, Any]
    metrics: list[dict[str, Any]]
    scores: dict[str, Any]
    predictions: list[dict[str, Any]]

    @property
    def tasks(self) -> list[str]:
        """The tasks that were evaluated."""
        return [task for task in TASK_TITLES if task in self.scores]

    @property
    def rendered(self) -> bool:
        """Whether the faces are rendered."""
        return self.about['config']['data']['dataset'] == 'synthetic_faces'

    @property
    def base_kind(self) -> str:
        """'embedded', 'random' or 'llava'."""
        return self.about['config']['base']['kind']

    def of_task(self, task: str) -> list[dict[str, Any]]:
        """The predictions of one task."""
        return [row for row in self.predictions if row['task'] == task]


@dataclasses.dataclass(frozen=True)
class ScoreRow:
    """One line of a score table, in percent; None where there is no such number."""

    name: str
    s_re: float | None
    s_ge: float | None
    s_rege: float | None
    note: str = ''


@dataclasses.dataclass(frozen=True)
class Bar:
    """The F1 of one action unit, in percent; None if the test faces cannot tell."""

    au: int
    name: str
    f1: float | None
    count: int


def load(workdir: Path) -> Run:
    """Reads a workdir.

    Raises:
      UserError: a file of a finished run is missing or not JSON.
    """
    workdir = Path(workdir)
    predictions = read_jsonl(workdir / 'predictions.jsonl')
    if not predictions:
        raise UserError(f'{workdir / "predictions.jsonl"}: no answers here; evaluate the run first')
    return Run(
        workdir=workdir,
        about=_read_json(workdir / 'config.json'),
        metrics=read_jsonl(workdir / 'metrics.jsonl'),
        scores=_read_json(workdir / 'scores.json'),
        predictions=predictions,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise UserError(f'{path}: missing; train and evaluate the run first') from error
    except ValueError as error:
        raise UserError(f'{path}: not JSON ({error})') from error


def score_rows(run: Run, task: str) -> list[ScoreRow]:
    """Both scorings of a task, beside the control and two scores of not looking."""
    scores = run.scores[task]
    rows = [
        _row('strict', scores['strict'], 'read as a person would; every answer counts'),
        _row('reference', scores['reference'], 'as the released script counts, faults included'),
    ]
    control = run.scores.get('control', {}).get(task)
    if control:
        rows.append(_row('control', control['strict'], 'blank image, another face’s landmarks'))
    rows += [_chance(scores['strict']), _guess(run, task)]
    return rows


def ablation_rows(run: Run) -> dict[str, list[ScoreRow]]:
    """Task -> one row for each model of the ablation, strict scoring; empty without one."""
    models = run.scores.get('ablation', {})
    return {
        task: [_row(name, scores[task]['strict']) for name, scores in models.items()]
        for task in run.tasks
        if models and all(task in scores for scores in models.values())
    }


def _row(name: str, scores: Mapping[str, Any], note: str = '') -> ScoreRow:
    return ScoreRow(name, scores['s_re'], scores['s_ge'], scores['s_rege'], note)


def _chance(strict: Mapping[str, Any]) -> ScoreRow:
    return ScoreRow('chance', strict['chance'], None, None, 'the same answers dealt at random')


def _guess(run: Run, task: str) -> ScoreRow:
    """The recognition score of an answer that never looks at the face."""
    rows = run.of_task(task)
    if task == 'emotion':
        counts = collections.Counter(row['label'] for row in rows)
        emotion, count = counts.most_common(1)[0]
        return ScoreRow('guess', 100 * count / len(rows), None, None, f'always “{emotion}”')
    present = [bar.count / len(rows) for bar in au_bars(run)]
    f1 = [200 * share / (1 + share) for share in present]
    mean = sum(f1) / len(f1) if f1 else None
    return ScoreRow('guess', mean, None, None, 'always names every action unit')


def au_bars(run: Run) -> list[Bar]:
    """F1 of each action unit (strict scoring) and on how many test faces it is present."""
    if 'au' not in run.tasks:
        return []
    strict = run.scores['au']['strict']
    return [
        Bar(int(au), AU_NAMES[int(au)], f1, strict['positives_per_au'][au])
        for au, f1 in strict['per_au'].items()
    ]


def confusion(run: Run) -> dict[str, dict[str, int]]:
    """Truth -> what the answer names (strict scoring) -> number of faces; emotions that occur."""
    if 'emotion' not in run.tasks:
        return {}
    table = run.scores['emotion']['strict']['confusion']
    return {
        truth: dict(zip(table['columns'], counts, strict=True))
        for truth, counts in table['rows'].items()
        if any(counts)
    }


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


def settings(run: Run) -> dict[str, dict[str, Any]]:
    """The config, a section at a time, with dotted names."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in run.about['config'].items():
        if isinstance(value, Mapping):
            sections[name] = dict(_flatten(value))
        else:
            sections.setdefault('run', {})[name] = value
    return sections


def _flatten(tree: Mapping[str, Any], prefix: str = '') -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value
