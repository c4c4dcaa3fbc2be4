"""The report of a run: one HTML page that needs nothing but itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import jinja2

from emola_jax import charts, report_data, report_gallery
from emola_jax.files import write_text
from emola_jax.report_data import Run

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
    run = report_data.load(workdir)
    path = run.workdir / REPORT_FILE
    write_text(path, render(run))
    return path


def render(run: Run) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('emola_jax', 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['percent'] = _percent
    environment.filters['setting'] = _setting
    return environment.get_template('report.html').render(
        run=run,
        title=run.workdir.resolve().name,
        date=_evaluated(run),
        task_titles=report_data.TASK_TITLES,
        scores={task: report_data.score_rows(run, task) for task in run.tasks},
        ablation=report_data.ablation_rows(run),
        confusion=report_data.confusion(run),
        au_bars=report_data.au_bars(run),
        agreement=run.scores.get('au', {}).get('strict', {}).get('au_code_name_agreement'),
        charts={
            title: charts.line_chart(xs, ys, label=title)
            for title, (xs, ys) in report_data.curves(run).items()
        },
        cards=report_gallery.cards(run),
        settings=report_data.settings(run),
    )


def _evaluated(run: Run) -> str:
    seconds = (run.workdir / 'scores.json').stat().st_mtime
    return datetime.fromtimestamp(seconds, UTC).strftime('%Y-%m-%d %H:%M UTC')


def _percent(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'


def _setting(value: object) -> str:
    if value is None:
        return 'none'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:g}'
    return str(value)
