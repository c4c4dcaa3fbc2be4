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

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from emola_jax.cli import command
from emola_jax.config import checks, config_files
from emola_jax.errors import UserError
from emola_jax.evaluation.answer_log import PREDICTIONS_FILE
from emola_jax.evaluation.evaluate import CONTROL, SCORES_FILE, score
from emola_jax.facs import AU_NAMES
from emola_jax.files import checksums, places
from emola_jax.files.locks import one_writer
from emola_jax.files.whole import read_json, read_jsonl, write_json, write_text
from emola_jax.metrics import cross_validation
from emola_jax.metrics.cross_validation import SCORINGS
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
) -> dict[str, Any]:
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
        checks.check(config_files.load(of_fold))
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


def gather(folders: dict[str, Path], workdir: Path) -> dict[str, Any]:
    """Averages the finished runs in `folders` (by name) into `workdir`; returns the scores.

    Raises:
      UserError: two folds answer the same question, or score different things.
    """
    by_fold = {name: subrun.task_scores(folder) for name, folder in folders.items()}
    rows = _all_answers(folders)
    scores: dict[str, Any] = cross_validation.average_tasks(list(by_fold.values()))
    scores['folds'] = by_fold
    scores['pooled'] = score(rows, _scored_aus(by_fold))
    controls = [read_json(folder / SCORES_FILE).get(CONTROL) for folder in folders.values()]
    scored = [control for control in controls if control]
    if len(scored) == len(controls):
        scores[CONTROL] = cross_validation.average_tasks(scored)
    lines = (json.dumps(row, ensure_ascii=False) + '\n' for row in rows)
    write_text(workdir / PREDICTIONS_FILE, ''.join(lines))
    write_text(workdir / TABLE_FILE, table(scores) + '\n')
    write_json(workdir / SCORES_FILE, scores)
    return scores


def table(scores: dict[str, Any]) -> str:
    """Markdown: of each task and scoring one table, with a column a fold, the mean and pooled."""
    return '\n\n'.join(
        _table(scores, task, scoring) for task in TASKS if task in scores for scoring in SCORINGS
    )


def _table(scores: dict[str, Any], task: str, scoring: str) -> str:
    sets = [
        *(fold[task] for fold in scores['folds'].values()),
        scores[task],
        scores['pooled'][task],
    ]
    parts = [each[scoring] for each in sets]
    heads = [f'{task}, {scoring}', *scores['folds'], 'mean', 'pooled', 'std']
    lines = []
    if task == 'au':
        for au in parts[-1]['per_au']:
            title = f'AU{au} {AU_NAMES.get(int(au), "")}'.strip()
            lines.append([title, *(part['per_au'].get(au) for part in parts), None])
    else:
        for name in parts[-1]['per_class']:
            lines.append([name, *(part['per_class'][name]['f1'] for part in parts), None])
    for key, title in (('s_re', 'S_re'), ('s_ge', 'S_ge'), ('s_rege', 'REGE')):
        lines.append([title, *(part[key] for part in parts), parts[-2]['std'][key]])
    lines.append(['samples', *(str(each['n']) for each in sets), None])
    return aligned(heads, lines)


def _scored_aus(by_fold: dict[str, Any]) -> tuple[int, ...]:
    """The action units in the folds' own order."""
    first = next(iter(by_fold.values()))
    return tuple(int(au) for au in first['au']['strict']['per_au']) if 'au' in first else ()


def _all_answers(folders: dict[str, Path]) -> list[dict[str, Any]]:
    """Every fold's answers, with its name, their pictures as seen from the common workdir."""
    seen: dict[tuple[str, str], str] = {}
    rows = []
    for name, folder in folders.items():
        checksums.check_file(folder / PREDICTIONS_FILE)
        for row in read_jsonl(folder / PREDICTIONS_FILE):
            key = row['task'], row['id']
            if key in seen:
                raise UserError(
                    f'{folder / PREDICTIONS_FILE}: {row["id"]!r} is answered in {seen[key]} as '
                    'well; expected folds that test each face once'
                )
            seen[key] = name
            rows.append({**row, 'fold': name, 'image': f'{name}/{row["image"]}'})
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
