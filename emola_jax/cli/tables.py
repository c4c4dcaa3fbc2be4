"""The paper's tables, made from predictions with one command.

    python -m emola_jax.tables runs/emola --format=latex --out=tables.tex
    python -m emola_jax.tables Ours=runs/emotion Ours=runs/au 'LLaVA=llava.jsonl' --dataset=faba
    python -m emola_jax.tables runs/disfa

Each source is a run's folder, a folder of folds, or a predictions.jsonl of any model; NAME=SOURCE
names its rows, and sources of one name share them. Everything is scored again, under both scorings.
FABA-Bench gives S_re, S_ge and S_rege; BP4D, DISFA and GFT the F1 of every action unit; RAF-DB the
accuracy. Published figures are below, marked, and never next to rendered faces.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from emola_jax.cli import command
from emola_jax.errors import UserError
from emola_jax.files import checksums, json_lines, places
from emola_jax.files.json_values import JsonObject
from emola_jax.files.texts import quoted
from emola_jax.files.whole import read_json, write_text
from emola_jax.metrics import action_units, cross_validation, read_answers, rege
from emola_jax.metrics.scores import Scores
from emola_jax.reporting import table as table_text
from emola_jax.reporting.paper_tables import Method, canonical, tables
from input_pipeline.records import TASKS

PREDICTIONS_FILE = 'predictions.jsonl'


def read(source: str, *, dataset: str | None = None, task: str | None = None) -> Method:
    """Scores one source of the command line.

    Args:
      source: PATH or NAME=PATH.
      dataset: for answers that don't say theirs; overrides what they say.
      task: for answers that don't say theirs; answers of another task are left out.

    Raises:
      UserError: no predictions are there, or they say neither task nor data set.
    """
    name, path = _named(source)
    files = _prediction_files(path)
    datasets, parts = set(), []
    for file in files:
        rows = json_lines.read(file)
        found = {canonical(name) for name in _named_in(file, rows, 'dataset', dataset)}
        if '' in found:
            raise UserError(f'{file}: its answers name no data set; give --dataset')
        datasets |= found
        parts.append(_score(file, rows, found, task))
    if len(datasets) > 1:
        raise UserError(f'{path}: answers of {", ".join(sorted(datasets))}; give --dataset')
    scores = parts[0] if len(parts) == 1 else cross_validation.average_tasks(parts)
    return Method(name, datasets.pop(), scores, folds=len(parts))


def _named_in(file: Path, rows: Sequence[JsonObject], field: str, given: str | None) -> set[str]:
    """The texts in a field of the rows, '' for a row without it; `given` overrides them all."""
    if given:
        return {given}
    for row in rows:
        if not isinstance(row.get(field, ''), str):
            raise UserError(f'{file}: {field} is {quoted(row[field])}, expected a text')
    return {row.get(field, '') for row in rows}


def _named(source: str) -> tuple[str, Path]:
    name, equals, rest = source.partition('=')
    if equals and not Path(source).exists():
        return name, places.path_of_flag(f'{name}=', rest)
    path = places.path(source)
    named_after = path.parent if path.name == PREDICTIONS_FILE else path.with_suffix('')
    return named_after.resolve().name, path


def _prediction_files(path: Path) -> list[Path]:
    """One file, or one for each fold; folds are averaged even where their union is there too."""
    if path.is_file():
        return [path]
    if folds := sorted(path.glob(f'fold*/{PREDICTIONS_FILE}')):
        return folds
    if (path / PREDICTIONS_FILE).is_file():
        return [path / PREDICTIONS_FILE]
    raise UserError(
        f'{path}: expected a {PREDICTIONS_FILE}, a folder that holds one, or one of folds'
    )


def _score(
    path: Path, rows: Sequence[JsonObject], datasets: set[str], task: str | None
) -> dict[str, Scores]:
    named = {name or task for name in _named_in(path, rows, 'task', None)}
    tasks = [name for name in TASKS if name in named and task in (None, name)]
    if not tasks:
        raise UserError(f'{path}: its answers name no task that is asked for; give --task')
    scores: dict[str, Scores] = {}
    for name in tasks:
        loaded = read_answers.load(path, name)
        samples = loaded.samples
        for note in loaded.notes:
            print(note, file=sys.stderr)
        aus = _scored_aus(next(iter(datasets)), samples, path) if name == 'au' else ()
        scores[name] = rege.score(samples, name, aus)
    return scores


def _scored_aus(dataset: str, samples: Iterable[rege.Sample], path: Path) -> tuple[int, ...]:
    """The data set's list; without one, what the run scored, or else what the labels name."""
    if dataset in action_units.SCORED_AUS:
        return action_units.scored_aus(dataset)
    beside = path.with_name('scores.json')
    if beside.is_file() and (scored := _aus_in(beside)):
        return scored
    labelled = {au for sample in samples for au in action_units.parse_label(sample.label)}
    return tuple(sorted(labelled))


def _aus_in(path: Path) -> tuple[int, ...]:
    """The action units that a run, or `emola_jax.score`, has scored; () for other scores."""
    checksums.check_file(path)
    try:
        found = read_json(path)
        part = found.get('au', found)
        if not isinstance(part, dict) or 'strict' not in part:
            return ()
        return tuple(int(au) for au in Scores.from_json(part, str(path)).strict.per_au)
    except ValueError:
        raise UserError(f'{path}: damaged; expected the scores of a run') from None


def together(methods: Iterable[Method]) -> list[Method]:
    """Puts the tasks of sources that have one name and one data set into one method.

    Raises:
      UserError: two sources of one name answer the same task.
    """
    merged: dict[tuple[str, str], Method] = {}
    for method in methods:
        key = (method.name, method.dataset)
        before = merged.get(key, Method(method.name, method.dataset, {}, method.folds))
        if twice := before.scores.keys() & method.scores.keys():
            raise UserError(
                f'two sources are called {method.name!r} and answer the task {min(twice)!r}; name '
                'them: NAME=SOURCE'
            )
        scores = {**before.scores, **method.scores}
        merged[key] = Method(method.name, method.dataset, scores, method.folds)
    return list(merged.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='python -m emola_jax.tables',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('sources', nargs='+', type=places.given, metavar='[NAME=]SOURCE')
    parser.add_argument('--format', choices=table_text.FORMATS, default='markdown')
    parser.add_argument('--dataset', help='of answers that do not say theirs, e.g. faba, disfa')
    parser.add_argument('--task', choices=TASKS, help='only this task')
    parser.add_argument(
        '--out', type=places.path, help='write to this file instead of the terminal'
    )
    args = parser.parse_args(argv)
    with command.exits_with_a_sentence('emola_jax.tables'):
        if args.out:
            places.check_output_file(args.out)
        methods = together(
            read(source, dataset=args.dataset, task=args.task) for source in args.sources
        )
        text = '\n'.join(table_text.write(table, args.format) for table in tables(methods))
        if args.out:
            write_text(args.out, text)
            print(f'tables: {args.out}')
        else:
            print(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
