"""Cross-validation: trains and scores every fold of a data set, and averages them.

    python -m emola_jax.folds --config=configs/emola.py:task=au,dataset=disfa --workdir=runs/disfa

Fold K is the run of the same config with the argument `fold=K` in WORKDIR/foldK, a process of its
own. A killed command goes on where it was, and finished folds are not redone; folds that
`emola_jax.main` made in these folders, on other machines say, are taken as they are. What follows
`--` goes to each run, for example `-- --config.eval.limit=100`.

WORKDIR gets scores.json (by task the average over the folds; 'folds', each by itself; 'pooled', all
samples as one set; 'control', the average of the controls), the table as folds.md, and the answers
of all folds as predictions.jsonl.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import app, flags

from emola_jax.cli import command
from emola_jax.config import config_files
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.evaluation.answer_log import PREDICTIONS_FILE
from emola_jax.evaluation.evaluate import SCORES_FILE, score
from emola_jax.facs import AU_NAMES
from emola_jax.files import checksums, places
from emola_jax.files.locks import one_writer
from emola_jax.files.whole import write_json, write_text
from emola_jax.metrics import answer_row, cross_validation
from emola_jax.metrics.answer_row import AnswerRow
from emola_jax.metrics.scores import HEADLINES, SCORINGS, Numbers, RunScores, TaskScores
from emola_jax.reporting.aligned_table import aligned
from emola_jax.study import subrun
from input_pipeline.records import TASKS

CONFIG = flags.DEFINE_string(
    'config', None, 'A config file that takes the argument fold=K.', required=True
)
WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Folder of all folds; a killed command goes on in it.', required=True
)
FOLDS = flags.DEFINE_integer('folds', 3, 'How many folds there are.', lower_bound=2)

TABLE_FILE = 'folds.md'


def cross_validate(
    config: str, workdir: Path, folds: int, run_flags: Sequence[str] = ()
) -> RunScores:
    """Runs what is missing, then averages and writes the results.

    Args:
      config: as `--config` takes it, without a fold.
      workdir: of all folds.
      folds: how many.
      run_flags: more flags for each run.

    Returns:
      What scores.json holds.

    Raises:
      UserError: a config is at fault, a run failed, or the folds' answers don't belong together.
    """
    configs = {
        f'fold{number}': config_files.with_argument(config, 'fold', number)
        for number in range(1, folds + 1)
    }
    for of_fold in configs.values():
        RunConfig.from_config_dict(config_files.load(of_fold))
    places.check_output_folder(workdir)
    with one_writer(workdir, 'runs the folds'):
        for number, (name, of_fold) in enumerate(configs.items(), start=1):
            print(f'{workdir / name}: fold {number} of {folds}', flush=True)
            subrun.run(of_fold, workdir / name, run_flags)
        scores = gather({name: workdir / name for name in configs}, workdir)
    print(f'\n{table(scores)}\n')
    for title, file in (('scores', SCORES_FILE), ('answers', PREDICTIONS_FILE)):
        print(f'  {title:<8} {workdir / file}')
    print(f'  {"table":<8} {workdir / TABLE_FILE}')
    return scores


def gather(folders: dict[str, Path], workdir: Path) -> RunScores:
    """Averages the finished runs in `folders` (by name) into `workdir`; returns the scores.

    Raises:
      UserError: two folds answer the same question, or score different things.
    """
    runs = {name: subrun.scores_of(folder) for name, folder in folders.items()}
    by_fold = {name: run.tasks for name, run in runs.items()}
    rows = _all_answers(folders)
    controls = [run.control for run in runs.values() if run.control]
    scores = RunScores(
        cross_validation.average_tasks(list(by_fold.values())),
        folds=by_fold,
        pooled=score(rows, _scored_aus(by_fold)),
        control=cross_validation.average_tasks(controls) if len(controls) == len(runs) else {},
    )
    write_text(workdir / PREDICTIONS_FILE, answer_row.lines(rows))
    write_text(workdir / TABLE_FILE, table(scores) + '\n')
    write_json(workdir / SCORES_FILE, scores.to_json())
    return scores


def table(scores: RunScores) -> str:
    """Markdown: of each task and scoring one table, with a column a fold, the mean and pooled."""
    return '\n\n'.join(
        _table(scores, task, scoring)
        for task in TASKS
        if task in scores.tasks
        for scoring in SCORINGS
    )


def _table(scores: RunScores, task: str, scoring: str) -> str:
    mean = scores.tasks[task]
    sets = [*(fold[task] for fold in scores.folds.values()), mean, scores.pooled[task]]
    parts = [each.by_scoring[scoring] for each in sets]
    std: Numbers = mean.by_scoring[scoring].std or {}
    heads = [f'{task}, {scoring}', *scores.folds, 'mean', 'pooled', 'std']
    lines: list[list[str | float | None]] = []
    if task == 'au':
        for au in parts[-1].per_au:
            title = f'AU{au} {AU_NAMES.get(int(au), "")}'.strip()
            lines.append([title, *(part.per_au.get(au) for part in parts), None])
    else:
        for name in parts[-1].per_class:
            lines.append([name, *(part.per_class[name].f1 for part in parts), None])
    for key, title in zip(HEADLINES, ('S_re', 'S_ge', 'REGE'), strict=True):
        lines.append([title, *(part.headlines[key] for part in parts), std.get(key)])
    lines.append(['samples', *(str(each.n) for each in sets), None])
    return aligned(heads, lines)


def _scored_aus(by_fold: Mapping[str, TaskScores]) -> tuple[int, ...]:
    """The action units in the folds' own order."""
    first = next(iter(by_fold.values()))
    return tuple(int(au) for au in first['au'].strict.per_au) if 'au' in first else ()


def _all_answers(folders: dict[str, Path]) -> list[AnswerRow]:
    """Every fold's answers, with its name, their pictures as seen from the common workdir."""
    seen: dict[tuple[str, str], str] = {}
    rows = []
    for name, folder in folders.items():
        checksums.check_file(folder / PREDICTIONS_FILE)
        for row in answer_row.read(folder / PREDICTIONS_FILE):
            key = row.task, row.id
            if key in seen:
                raise UserError(
                    f'{folder / PREDICTIONS_FILE}: {row.id!r} is answered in {seen[key]} as '
                    'well; expected folds that test each face once'
                )
            seen[key] = name
            rows.append(dataclasses.replace(row, fold=name, image=f'{name}/{row.image}'))
    return rows


def main(argv: list[str]) -> None:
    """Reads the flags."""
    workdir = places.path_of_flag('--workdir', WORKDIR.value)
    cross_validate(CONFIG.value, workdir, FOLDS.value, argv[1:])


def cli() -> None:
    """Runs `main`; prints a user error as one sentence, exit status 1."""
    with command.exits_with_a_sentence():
        app.run(main)


if __name__ == '__main__':
    cli()
