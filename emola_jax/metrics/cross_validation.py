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
from collections.abc import Iterable, Mapping, Sequence

from emola_jax.errors import UserError
from emola_jax.metrics import readers
from emola_jax.metrics.scores import (
    HEADLINES,
    ClassScores,
    Confusion,
    Numbers,
    RougeScore,
    Scores,
    Scoring,
    TaskScores,
)


def average(folds: Sequence[Scores]) -> Scores:
    """Averages what `rege.score` returned for each fold of one task.

    A figure that a fold lacks (an action unit that it has neither labels nor predictions of) is
    averaged over the other folds.

    Returns:
      The scores as far as they average, in percent, and in each scoring 'std': the standard
      deviation (n - 1) over the folds of the headlines; None for fewer than two.

    Raises:
      UserError: the folds score different action units, or were read by different readers.
    """
    google = [fold.rouge_score.rouge_l for fold in folds if fold.rouge_score is not None]
    cut_off = [fold.cut_off for fold in folds if fold.cut_off is not None]
    return Scores(
        n=sum(fold.n for fold in folds),
        cut_off=sum(cut_off) if len(cut_off) == len(folds) else None,
        strict=_average_strict([fold.strict for fold in folds]),
        reference=_average([fold.reference for fold in folds]),
        rouge_score=RougeScore(_mean(google)) if len(google) == len(folds) else None,
    )


def average_tasks(folds: Sequence[TaskScores]) -> dict[str, Scores]:
    """`average` of each task that all folds score; see there.

    Args:
      folds: scores by task.
    """
    tasks = [task for task in folds[0] if all(task in fold for fold in folds)]
    return {task: average([fold[task] for fold in folds]) for task in tasks}


def _average_strict(parts: Sequence[Scoring]) -> Scoring:
    """Of action units S_re is the mean of the mean F1."""
    if not any(part.per_au for part in parts):
        return _average(parts)
    _check_aus(parts)
    return _average(parts, s_re=_mean(_mean_of_each([part.per_au for part in parts]).values()))


def _average(parts: Sequence[Scoring], *, s_re: float | None = None) -> Scoring:
    """Means and sums over the folds.

    Args:
      parts: of each fold.
      s_re: instead of the mean over the folds.
    """
    reader, digest = _reader(parts)
    s_re = _mean(part.s_re for part in parts) if s_re is None else s_re
    s_ge = _mean(part.s_ge for part in parts)
    return Scoring(
        reader=reader,
        hash=digest,
        s_re=s_re,
        s_ge=s_ge,
        s_rege=None if s_re is None or s_ge is None else s_re + s_ge,
        chance=_mean(part.chance for part in parts),
        unparsed=sum(part.unparsed for part in parts),
        macro_f1=_mean(part.macro_f1 for part in parts),
        per_class=_classes([part.per_class for part in parts]),
        confusion=_confusion([part.confusion for part in parts if part.confusion is not None]),
        mean_f1_supported=_mean(part.mean_f1_supported for part in parts),
        mean_accuracy=_mean(part.mean_accuracy for part in parts),
        au_code_name_agreement=_mean(part.au_code_name_agreement for part in parts),
        per_au=_mean_of_each([part.per_au for part in parts]),
        accuracy_per_au=_mean_of_each([part.accuracy_per_au for part in parts]),
        positives_per_au=_sum_of_each([part.positives_per_au for part in parts]),
        std={key: _std([part.headlines[key] for part in parts]) for key in HEADLINES},
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are defined."""
    defined = [value for value in values if value is not None]
    return statistics.fmean(defined) if defined else None


def _mean_of_each(tables: Sequence[Numbers]) -> dict[str, float | None]:
    """By key; what a table lacks is left out."""
    keys = dict.fromkeys(key for table in tables for key in table)
    return {key: _mean(table[key] for table in tables if key in table) for key in keys}


def _sum_of_each(tables: Sequence[Mapping[str, int]]) -> dict[str, int]:
    keys = dict.fromkeys(key for table in tables for key in table)
    return {key: sum(table[key] for table in tables if key in table) for key in keys}


def _classes(tables: Sequence[Mapping[str, ClassScores]]) -> dict[str, ClassScores]:
    names = dict.fromkeys(name for table in tables for name in table)
    found = {}
    for name in names:
        parts = [table[name] for table in tables if name in table]
        found[name] = ClassScores(
            precision=_mean(part.precision for part in parts),
            recall=_mean(part.recall for part in parts),
            f1=_mean(part.f1 for part in parts),
            support=sum(part.support for part in parts),
        )
    return found


def _confusion(parts: Sequence[Confusion]) -> Confusion | None:
    """Counts are added up; the columns are the same everywhere."""
    if not parts:
        return None
    names = dict.fromkeys(name for part in parts for name in part.rows)
    rows = {
        name: [
            sum(column)
            for column in zip(
                *(part.rows[name] for part in parts if name in part.rows), strict=True
            )
        ]
        for name in names
    }
    return Confusion(parts[0].columns, rows)


def _std(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return statistics.stdev(defined) if len(defined) > 1 else None


def _reader(parts: Sequence[Scoring]) -> tuple[str | None, str | None]:
    """Name and hash of the strict reader that all folds were read by."""
    stamps = [(part.reader, part.hash) for part in parts]
    if any(stamp != stamps[0] for stamp in stamps):
        names = ' and '.join(sorted({part.reader or readers.FIRST for part in parts}))
        raise UserError(
            f'folds must be read by the same strict reader, but these were by {names}; score the '
            'predictions of all folds again'
        )
    return stamps[0]


def _check_aus(parts: Sequence[Scoring]) -> None:
    lists = {tuple(part.per_au) for part in parts}
    if len(lists) > 1:
        listed = ' and '.join(str(sorted(map(int, aus))) for aus in lists)
        raise UserError(f'folds must score the same action units, but these score {listed}')
