"""Scores of any model's answers, without the model: what `score` and `emola_jax.score` do."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.metrics import action_units, read_answers, readers
from emola_jax.metrics.read_answers import Answers
from emola_jax.metrics.sample import Sample, Task
from emola_jax.metrics.scores import Scores

_ALIASES = {'faba_instruct': 'faba'}
_WITHOUT_LIST = ('rafdb', 'affectnet', 'folder', 'synthetic_faces')
DATASETS = (*action_units.SCORED_AUS, *_ALIASES, *_WITHOUT_LIST)
"""Whose action units may count."""

REPLICATES = 2000


def score(
    found: Answers,
    task: Task,
    *,
    dataset: str = 'faba',
    aus: Sequence[int] | None = None,
    others: Answers | None = None,
    replicates: int = REPLICATES,
    reader: str = readers.LATEST,
    seed: int = 0,
) -> Scores:
    """REGE under both scorings.

    Args:
      found: of `read_answers.load` or `of_rows`.
      task: 'emotion' or 'au'.
      dataset: one of `DATASETS`: whose action units count.
      aus: action units that count instead.
      others: answers of another model to compare with.
      replicates: of the bootstrap; 0 for none.
      reader: version of the strict reader of answers.
      seed: of intervals and p-values.

    Raises:
      UserError: an unknown data set, or no action unit that could count.
    """
    chosen = scored_aus(aus, full_name(dataset), found.samples) if task == 'au' else ()
    from emola_jax.metrics import rege  # which imports jax, and --help shall not wait for it

    notes, processes = found.notes, os.cpu_count() or 1
    scores = rege.score(
        found.samples,
        task,
        chosen,
        replicates=replicates,
        processes=processes,
        seed=seed,
        reader=reader,
    )
    if others is not None:
        tests = rege.compare(found.samples, others.samples, task, chosen, seed=seed, reader=reader)
        scores = dataclasses.replace(scores, against=tests)
        notes += others.notes
    return dataclasses.replace(scores, notes=notes)


def of_rows(rows: str | Path | Iterable[Mapping[str, object]], task: Task) -> Answers:
    """Answers of a file or folder, or of rows that are in memory.

    Raises:
      UserError: see `read_answers.load`; a row lacks a field, or two have one id.
    """
    if isinstance(rows, str | Path):
        return read_answers.load(Path(rows), task)
    samples: dict[str, Sample] = {}
    for number, row in enumerate(rows):
        if row.get('task', task) != task:
            continue
        try:
            sample = Sample.from_row({'id': str(number), **row}, task)
        except UserError as error:
            raise UserError(f'row {number}: {error}') from None
        if samples.setdefault(sample.id, sample) is not sample:
            raise UserError(f'row {number}: id {sample.id!r} occurs twice')
    if not samples:
        raise UserError(f'no predictions of task {task!r}')
    return Answers(list(samples.values()))


def full_name(dataset: str) -> str:
    """The name of a data set as the lists of action units have it.

    Raises:
      UserError: there is no such data set.
    """
    known = dataset.lower()
    if known not in DATASETS:
        raise UserError(f'data set {dataset!r}: expected one of {", ".join(sorted(DATASETS))}')
    return _ALIASES.get(known, known)


def scored_aus(
    given: Sequence[int] | None, dataset: str, samples: Sequence[Sample]
) -> tuple[int, ...]:
    """The action units that count: those given, the data set's list, or all that are labelled."""
    if given is not None:
        return tuple(sorted(given))
    if dataset not in _WITHOUT_LIST:
        return action_units.scored_aus(dataset)
    labelled = set().union(*(action_units.parse_label(sample.label) for sample in samples))
    if not labelled:
        raise UserError(f'data set {dataset!r}: no action unit is labelled; name them with --aus')
    return tuple(sorted(labelled))
