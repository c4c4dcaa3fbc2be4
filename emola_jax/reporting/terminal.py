"""What a run came to, on one screen of a terminal."""

from __future__ import annotations

from pathlib import Path

from emola_jax.files.whole import read_jsonl
from emola_jax.reporting import run_facts
from emola_jax.reporting.run_facts import Run, ScoreRow

_INDENT = '  '


def print_summary(workdir: Path) -> None:
    """Prints the scores, their baselines and where the results are.

    A run that is trained and not evaluated yet gets one line that says so.

    Raises:
      UserError: a file of the run is damaged.
    """
    workdir = Path(workdir)
    evaluated = (workdir / 'scores.json').exists()
    print(_evaluated(run_facts.load(workdir)) if evaluated else _trained(workdir))


def _trained(workdir: Path) -> str:
    rows = read_jsonl(workdir / 'metrics.jsonl', ('step', 'loss'))
    if not rows:
        return f'{workdir}: nothing is trained here yet'
    last = rows[-1]
    return f'{workdir}: step {last["step"]}, loss {last["loss"]:.3f}; not evaluated yet'


def _evaluated(run: Run) -> str:
    lines = ['', f'{run.workdir}: {run.about["base"]["description"]}']
    if run.rendered:
        lines.append('The faces are rendered: no figure here compares with published ones.')
    for task in run.tasks:
        rows = run_facts.score_rows(run, task) + run_facts.ablation_rows(run).get(task, [])
        width = _WITH_INTERVAL if any(row.interval for row in rows) else _PLAIN
        lines += ['', _heading(run_facts.TASK_TITLES[task], width)]
        lines += [_line(row, width) for row in rows]
    lines.append('')
    for name, file in (
        ('report', 'report.html'),
        ('answers', 'predictions.jsonl'),
        ('scores', 'scores.json'),
        ('curves', 'metrics.jsonl'),
    ):
        if (run.workdir / file).exists():
            lines.append(f'{_INDENT}{name:<8} {run.workdir / file}')
    return '\n'.join(lines)


_PLAIN, _WITH_INTERVAL = 8, 22


def _heading(title: str, width: int) -> str:
    cells = ''.join(f'{name:>{_PLAIN}}{"":<{width - _PLAIN}}' for name in ('S_re', 'S_ge', 'REGE'))
    note = '   [95 % interval]' if width == _WITH_INTERVAL else ''
    return f'{title:<18}{cells}{note}'.rstrip()


def _line(row: ScoreRow, width: int) -> str:
    values = {'s_re': row.s_re, 's_ge': row.s_ge, 's_rege': row.s_rege}
    cells = ''.join(_cell(value, row.interval.get(key), width) for key, value in values.items())
    return f'{_INDENT + row.name:<18}{cells}   {row.note}'.rstrip()


def _cell(value: float | None, interval: tuple[float, float] | None, width: int) -> str:
    shown = '–' if value is None else f'{value:.1f}'
    behind = ' [{:.1f}, {:.1f}]'.format(*interval) if interval else ''
    return f'{shown:>{_PLAIN}}{behind:<{width - _PLAIN}}'
