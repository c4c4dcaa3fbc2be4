"""The scores of several folds as one: averaged, as papers on BP4D and DISFA report them.

F1 of each action unit is averaged over the folds, and S_re is the mean of these over the action
units. (The released script scores one fold at a time and leaves the averaging to its reader.) In
`reference` scoring S_re is the mean of what the script prints for each fold, since its names of
action units may be shifted.

Counts are added up. What has no meaning as a mean, such as an interval, is left out; the scores of
all samples taken together are another figure, which `rege.score` gives.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from emola_jax.errors import UserError
from emola_jax.metrics import readers

Scores = dict[str, Any]

SCORINGS = ('strict', 'reference')
HEADLINES = ('s_re', 's_ge', 's_rege')

_MEANS = (
    's_re',
    's_ge',
    'chance',
    'macro_f1',
    'mean_f1_supported',
    'mean_accuracy',
    'au_code_name_agreement',
    'per_au',
    'accuracy_per_au',
    'per_class',
)
_STAMP = ('reader', 'hash')
_COUNTS = ('n', 'cut_off', 'unparsed', 'positives_per_au', 'confusion', 'support')


def average(folds: Sequence[Scores]) -> Scores:
    """Averages what `rege.score` returned for each fold of one task.

    A figure that a fold lacks (an action unit that it has neither labels nor predictions of) is
    averaged over the other folds.

    Returns:
      The same keys as far as they average, in percent, and in each scoring 'std': the standard
      deviation (n - 1) over the folds of 's_re', 's_ge' and 's_rege'; None for fewer than two.

    Raises:
      UserError: the folds score different action units, or were read by different readers.
    """
    averaged = _counts(folds)
    for scoring in SCORINGS:
        parts = [fold[scoring] for fold in folds]
        mean = {key: _mean([part[key] for part in parts]) for key in _MEANS if key in parts[0]}
        if scoring == 'strict' and 'per_au' in mean:
            _check_aus(parts)
            mean['s_re'] = _mean(list(mean['per_au'].values()))
        both = (mean['s_re'], mean['s_ge'])
        mean['s_rege'] = None if None in both else sum(both)
        std = {key: _std([part[key] for part in parts]) for key in HEADLINES}
        averaged[scoring] = {**_reader(parts), **mean, **_counts(parts), 'std': std}
    google = [fold.get('rouge_score') for fold in folds]
    if all(google):
        averaged['rouge_score'] = _mean(google)
    return averaged


def average_tasks(folds: Sequence[dict[str, Scores]]) -> dict[str, Scores]:
    """`average` of each task that all folds score; see there.

    Args:
      folds: scores by task.
    """
    tasks = [task for task in folds[0] if all(task in fold for fold in folds)]
    return {task: average([fold[task] for fold in folds]) for task in tasks}


def _counts(parts: Sequence[Scores]) -> Scores:
    shared = [key for key in _COUNTS if all(key in part for part in parts)]
    return {key: _sum([part[key] for part in parts]) for key in shared}


def _mean(values: Sequence[Any]) -> Any:
    """Of numbers, or of tables of them; None and what a table lacks are left out."""
    if isinstance(values[0], dict):
        return {
            key: (_sum if key in _COUNTS else _mean)([t[key] for t in values if key in t])
            for key in _keys(values)
            if not key.endswith('interval')
        }
    defined = [value for value in values if value is not None]
    return statistics.fmean(defined) if defined else None


def _sum(values: Sequence[Any]) -> Any:
    """Of numbers, or of tables and lists of them; texts (names of columns) stay."""
    if isinstance(values[0], dict):
        return {key: _sum([t[key] for t in values if key in t]) for key in _keys(values)}
    if isinstance(values[0], list):
        return [_sum(column) for column in zip(*values, strict=True)]
    return values[0] if isinstance(values[0], str) else sum(values)


def _keys(tables: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for table in tables for key in table))


def _std(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return statistics.stdev(defined) if len(defined) > 1 else None


def _reader(parts: Sequence[Scores]) -> Scores:
    """The version of the strict reader that all folds were read by."""
    stamps = [{key: part[key] for key in _STAMP if key in part} for part in parts]
    if any(stamp != stamps[0] for stamp in stamps):
        names = ' and '.join(sorted({stamp.get('reader', readers.FIRST) for stamp in stamps}))
        raise UserError(
            f'folds must be read by the same strict reader, but these were by {names}; score the '
            'predictions of all folds again'
        )
    return stamps[0]


def _check_aus(parts: Sequence[Scores]) -> None:
    lists = {tuple(part.get('per_au', ())) for part in parts}
    if len(lists) > 1:
        listed = ' and '.join(str(sorted(map(int, aus))) for aus in lists)
        raise UserError(f'folds must score the same action units, but these score {listed}')
