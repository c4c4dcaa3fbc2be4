"""The report of a run: one HTML page that needs nothing but itself."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import markupsafe

from emola_jax.facs import AU_NAMES
from emola_jax.files import json_lines
from emola_jax.files.whole import write_text
from emola_jax.metrics.scores import TaskScores
from emola_jax.reporting import charts, gallery, paper_tables, run_facts, scoring_differences
from emola_jax.reporting import table as table_text
from emola_jax.reporting.run_facts import Run

REPORT_FILE = 'report.html'


def write_report(workdir: Path) -> Path:
    """Writes `workdir/report.html` from what evaluation left in the workdir.

    Pictures are inside the page, nothing is loaded from anywhere, and it works without scripts.

    Args:
      workdir: holds config.json, predictions.jsonl, scores.json and faces/; metrics.jsonl if the
        run was trained here.

    Returns:
      The path of the page.

    Raises:
      UserError: one of the files is missing or damaged.
    """
    run = run_facts.load(workdir)
    path = run.workdir / REPORT_FILE
    write_text(path, render(run))
    return path


def write_scored(predictions: Path, scores: TaskScores, out: Path, *, dataset: str) -> Path:
    """Writes the report of scored answers of any model: no config, no curves, perhaps no pictures.

    Args:
      predictions: a predictions.jsonl; a row without a task belongs to the only one in `scores`.
        Pictures are found by their field `image`, relative to the file.
      scores: by task.
      out: the page to write.
      dataset: the data set's name.

    Raises:
      UserError: the file is no such file, or a row lacks a field.
    """
    only = next(iter(scores)) if len(scores) == 1 else None
    run = run_facts.from_answers(
        [{'task': only, **row} for row in json_lines.read(predictions)],
        scores,
        folder=predictions.parent,
        title=predictions.stem,
        dataset=dataset,
    )
    write_text(out, render(run))
    return out


SHOWN_DIFFERENCES = 12


@functools.cache
def environment() -> jinja2.Environment:
    """How pages are made from templates: everything is escaped, and a missing name is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader('emola_jax.reporting'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters['percent'] = _percent
    made.filters['setting'] = _setting
    made.filters['as_printed'] = table_text.as_printed
    made.filters['subscript'] = _subscript
    return made


def render(run: Run) -> str:
    """The page as text."""
    dataset = paper_tables.canonical(run.dataset)
    tasks = {task: run.scores.tasks[task] for task in run.tasks}
    tables = paper_tables.tables([paper_tables.Method(run.title, dataset, tasks)])
    return (
        environment()
        .get_template('report.html')
        .render(
            run=run,
            title=run.title,
            date=_evaluated(run),
            task_titles=run_facts.TASK_TITLES,
            scores={task: run_facts.score_rows(run, task) for task in run.tasks},
            ablation=run_facts.ablation_rows(run),
            confusion=run_facts.confusion(run),
            bars={task: run_facts.bars(run, task) for task in run.tasks},
            agreement=tasks['au'].strict.au_code_name_agreement if 'au' in tasks else None,
            differences=scoring_differences.differences(run),
            shown_differences=SHOWN_DIFFERENCES,
            published=_published(dataset, tables),
            table_texts={
                form: '\n'.join(table_text.write(table, form) for table in tables)
                for form in table_text.FORMATS
            },
            charts={
                title: charts.line_chart(xs, ys, label=title)
                for title, (xs, ys) in run_facts.curves(run).items()
            },
            probabilities=run_facts.probabilities(run),
            reliability={
                task: charts.reliability_chart(
                    told['bins_before'], told['bins_after'], label=run_facts.TASK_TITLES[task]
                )
                for task, told in run_facts.probabilities(run).items()
            },
            au_names=AU_NAMES,
            cards=gallery.cards(run),
            settings=run_facts.settings(run),
        )
    )


def _published(dataset: str, tables: list[table_text.Table]) -> list[table_text.Table]:
    """The tables with published rows; beside rendered faces, what is published and nothing else."""
    if dataset == paper_tables.RENDERED:
        alone = paper_tables.published_table(dataset)
        return [alone] if alone else []
    return [table for table in tables if any(row.published for row in table.rows)]


def _evaluated(run: Run) -> str:
    scores = run.workdir / 'scores.json'
    seconds = scores.stat().st_mtime if scores.exists() else datetime.now(UTC).timestamp()
    return datetime.fromtimestamp(seconds, UTC).strftime('%Y-%m-%d %H:%M UTC')


def _percent(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'


def _subscript(name: str) -> markupsafe.Markup:
    """'S_re' with a subscript; another name as it is."""
    head, underscore, tail = name.partition('_')
    return markupsafe.Markup('{}<sub>{}</sub>' if underscore else '{}').format(head, tail)


def _setting(value: object) -> str:
    if value is None:
        return 'none'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:g}'
    return str(value)
