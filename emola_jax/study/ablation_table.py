"""The table of an ablation: what each row scores, and how far it is from the full model."""

from __future__ import annotations

import math
from collections.abc import Mapping

from emola_jax.metrics.scores import TaskScores
from emola_jax.reporting.aligned_table import aligned

_REFERENCE = 'both'

_COLUMNS = (
    ('emotion', 's_re', 'emotion S_re'),
    ('au', 's_re', 'AU F1'),
    ('emotion', 's_ge', 'emotion ROUGE-L'),
    ('au', 's_ge', 'AU ROUGE-L'),
    ('emotion', 's_rege', 'emotion REGE'),
    ('au', 's_rege', 'AU REGE'),
)

Runs = Mapping[str, Mapping[str, TaskScores]]
"""Row -> seed (as text) -> scores by task."""


def table(found: Runs, titles: Mapping[str, str], *, rendered: bool) -> str:
    """Markdown: strict scoring, a row each of `titles` that has runs, and sentences below.

    A cell is a score and in brackets its difference to the row 'both'; with several seeds, means
    over them and the range. The difference is over the seeds that both rows have.

    Args:
      found: row -> seed -> scores by task.
      titles: row -> what it is called.
      rendered: whether the faces are rendered.
    """
    tasks = {task for runs in found.values() for scores in runs.values() for task in scores}
    columns = [column for column in _COLUMNS if column[0] in tasks]
    lines = []
    for row, title in titles.items():
        if row not in found:
            continue
        runs = found[row]
        cells = [_cell(found, row, task, key) for task, key, _ in columns]
        answers = sorted(
            {sum(of_task.n for of_task in scores.values()) for scores in runs.values()}
        )
        lines.append([title, *cells, '–'.join(map(str, answers)), ', '.join(runs)])
    heads = ['model', *(name for _, _, name in columns), 'answers', 'seeds']
    return '\n\n'.join([aligned(heads, lines), *_notes(found, rendered)]) + '\n'


def _notes(found: Runs, rendered: bool) -> list[str]:
    notes = [
        'Strict scoring, in points; in brackets the difference to "vision + prior" of the same '
        'seeds; with several seeds the mean, and behind it the lowest and the highest.'
    ]
    if min(len(runs) for runs in found.values()) < 2:
        notes.append(
            'Rows of one seed have no range: how far another seed would differ is not known from '
            'them.'
        )
    if rendered:
        notes.append('The faces are rendered: no figure here compares with published ones.')
    return notes


def _cell(found: Runs, row: str, task: str, key: str) -> str | None:
    values = _values(found[row], task, key)
    if not values:
        return None
    text = f'{_mean(values):.1f}'
    full = _values(found.get(_REFERENCE, {}), task, key)
    common = values.keys() & full.keys()
    if row != _REFERENCE and common:
        gaps = {seed: values[seed] - full[seed] for seed in common}
        text += f' ({_mean(gaps):+.1f})'
    if len(values) > 1:
        text += f' {min(values.values()):.1f}..{max(values.values()):.1f}'
    return text


def _values(runs: Mapping[str, TaskScores], task: str, key: str) -> dict[str, float]:
    return {
        seed: value
        for seed, scores in runs.items()
        if task in scores and (value := scores[task].strict.headlines[key]) is not None
    }


def _mean(values: Mapping[str, float]) -> float:
    return math.fsum(values.values()) / len(values)
