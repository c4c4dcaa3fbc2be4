"""The paper's tables: which methods, columns and published rows belong together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from emola_jax.metrics.scores import HEADLINES, Scoring, TaskScores
from emola_jax.reporting import table
from emola_jax.reporting.published import DATASET_TITLES, Published, published
from emola_jax.reporting.table import Number, Row, Table

SCORINGS = ('reference', 'strict')
TASK_TITLES = {'emotion': 'Emotion', 'au': 'Action units'}
RENDERED = 'synthetic_faces'
RENDERED_NOTE = (
    'The faces are rendered: this is not FABA-Bench, and published figures do not compare.'
)

_ALIASES = {'faba_instruct': 'faba'}
_PER_AU = ('bp4d', 'disfa', 'gft', 'emotionet')
_ACCURACY = ('rafdb', 'affectnet')
_TITLES = {
    **DATASET_TITLES,
    'emotionet': 'EmotioNet',
    'affectnet': 'AffectNet',
    RENDERED: 'Rendered faces',
}


@dataclasses.dataclass(frozen=True)
class Method:
    """One model's answers to one data set.

    Attributes:
      name: what its rows are called.
      dataset: a name of the data set, as `canonical` gives it.
      scores: by task; of folds the means over them.
      folds: over how many folds the scores are means; 1 for no folds.
    """

    name: str
    dataset: str
    scores: TaskScores
    folds: int = 1


def canonical(dataset: str) -> str:
    """The name under which figures of a data set are published; other names stay."""
    return _ALIASES.get(dataset, dataset)


def title_of(dataset: str) -> str:
    """A data set's name as it is printed."""
    return _TITLES.get(canonical(dataset), dataset)


def tables(methods: Sequence[Method]) -> list[Table]:
    """The tables that the methods' data sets call for, published rows last and marked."""
    made = []
    for dataset in dict.fromkeys(method.dataset for method in methods):
        of_dataset = [method for method in methods if method.dataset == dataset]
        with_aus = [method for method in of_dataset if 'au' in method.scores]
        if dataset in _ACCURACY:
            made.append(_accuracy(dataset, of_dataset))
        elif dataset not in _PER_AU:
            made.append(_benchmark(dataset, of_dataset))
        if with_aus:
            made.append(_per_au(dataset, with_aus))
    return made


def published_table(dataset: str) -> Table | None:
    """What is published on a data set, alone; of rendered faces, what is on FABA-Bench."""
    dataset = 'faba' if dataset == RENDERED else canonical(dataset)
    if dataset not in DATASET_TITLES:
        return None
    found = tables([Method('', dataset, {})]) if dataset == 'faba' else []
    if dataset in _ACCURACY:
        found = [_accuracy(dataset, [])]
    elif dataset in _PER_AU:
        found = [_per_au(dataset, [])]
    return found[0]


def _benchmark(dataset: str, methods: Sequence[Method]) -> Table:
    """S_re, S_ge and S_rege of both tasks."""
    others = {task: {row.model: row for row in published(dataset, task)} for task in TASK_TITLES}
    tasks = [t for t in TASK_TITLES if others[t] or any(t in m.scores for m in methods)]
    rows = [
        Row(
            method.name,
            scoring,
            tuple(n for task in tasks for n in _three(_scoring(method, task, scoring))),
        )
        for method in methods
        if method.scores
        for scoring in SCORINGS
    ]
    for model in dict.fromkeys(name for task in tasks for name in others[task]):
        found = [others[task].get(model) for task in tasks]
        rows.append(_published_row(model, [n for row in found for n in _published_three(row)]))
    columns = ('S_re', 'S_ge', 'S_rege') * len(tasks)
    groups = tuple((TASK_TITLES[task], 3) for task in tasks)
    shown = [row for task in tasks for row in others[task].values()]
    title = f'{title_of(dataset)}: recognition, generation and their sum, in percent'
    return Table(
        f'{_key(dataset)}-rege',
        title,
        groups,
        columns,
        tuple(rows),
        _notes(dataset, methods, shown),
    )


def _per_au(dataset: str, methods: Sequence[Method]) -> Table:
    """F1 of every action unit and their mean."""
    # Where S_re stands in a table of its own, its published figures stand there.
    others = published(dataset, 'au') if dataset in _PER_AU else ()
    if methods:
        aus = list(methods[0].scores['au'].strict.per_au)
    else:
        aus = list(dict.fromkeys(str(au) for row in others for au in row.per_au))
    rows = []
    for method in methods:
        for scoring in SCORINGS:
            scores = method.scores['au'].by_scoring[scoring]
            numbers = [Number(scores.per_au.get(au)) for au in aus]
            rows.append(Row(method.name, scoring, (*numbers, _with_interval(scores, 's_re'))))
    for row in others:
        numbers = [Number(row.per_au.get(int(au))) for au in aus]
        rows.append(_published_row(row.model, [*numbers, Number(row.s_re)]))
    columns = (*(f'AU{au}' for au in aus), 'Mean')
    title = f'{title_of(dataset)}: F1 of each action unit, in percent'
    return Table(
        f'{_key(dataset)}-f1', title, (), columns, tuple(rows), _notes(dataset, methods, others)
    )


def _accuracy(dataset: str, methods: Sequence[Method]) -> Table:
    """Accuracy and macro F1 over the emotions."""
    others = published(dataset, 'emotion')
    rows = [
        Row(
            method.name,
            scoring,
            (
                _with_interval(method.scores['emotion'].by_scoring[scoring], 's_re'),
                Number(method.scores['emotion'].by_scoring[scoring].macro_f1),
            ),
        )
        for method in methods
        if 'emotion' in method.scores
        for scoring in SCORINGS
    ]
    rows += [_published_row(row.model, [Number(row.s_re), Number(None)]) for row in others]
    title = f'{title_of(dataset)}: accuracy over the emotions, in percent'
    return Table(
        f'{_key(dataset)}-accuracy',
        title,
        (),
        ('Accuracy', 'Macro F1'),
        tuple(rows),
        _notes(dataset, methods, others),
        decimals=2,
    )


def _key(dataset: str) -> str:
    return dataset.replace('_', '-')


def _scoring(method: Method, task: str, scoring: str) -> Scoring | None:
    scores = method.scores.get(task)
    return scores.by_scoring[scoring] if scores else None


def _three(scores: Scoring | None) -> list[Number]:
    if scores is None:
        return [Number(None)] * 3
    return [_with_interval(scores, key) for key in HEADLINES]


def _with_interval(scores: Scoring, key: str) -> Number:
    return Number(scores.headlines[key], (scores.interval or {}).get(key))


def _published_three(row: Published | None) -> list[Number]:
    if row is None:
        return [Number(None)] * 3
    return [Number(row.s_re), Number(row.s_ge), Number(row.s_rege)]


def _published_row(model: str, numbers: Sequence[Number]) -> Row:
    return Row(model, 'published', tuple(numbers), published=True)


def _notes(dataset: str, methods: Sequence[Method], others: Sequence[Published]) -> tuple[str, ...]:
    notes = []
    if dataset == RENDERED:
        notes.append(RENDERED_NOTE)
    scores = [part for method in methods for part in method.scores.values()]
    if any(scoring.interval for part in scores for scoring in part.by_scoring.values()):
        notes.append('In parentheses: 95 % intervals, bootstrapped over samples.')
    for method in methods:
        if method.folds > 1:
            notes.append(f'{method.name}: mean of {method.folds} folds.')
    if others:
        sources: dict[str, list[str]] = {}
        for row in others:
            models = sources.setdefault(row.source, [])
            if row.model not in models:
                models.append(row.model)
        read = '; '.join(f'{", ".join(models)}: {source}' for source, models in sources.items())
        notes.append(f'{table.MARK} Published, not measured here ({read}).')
    return tuple(notes)
