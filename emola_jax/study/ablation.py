"""The ablation: what the face prior and what the pixels give, each alone and together.

    python -m emola_jax.ablation --config=configs/mini.py --workdir=runs/mini
    python -m emola_jax.ablation --config=configs/mini.py --workdir=runs/mini \
        --rows=shuffled,before,image,several --seeds=0,1

Each row (docs/prior.md tells them) is the config with the argument `row=ROW`, trained and evaluated
with the recipe of the full model, a process of its own. The row 'both' is the full model in WORKDIR
and always among them; the others lie in WORKDIR/ablation/ROW, runs of other seeds than the config's
in WORKDIR/ablation/seedN/ROW. A killed command goes on where it was, finished runs are not redone,
and rows of earlier calls stay in the table. What follows `--` goes to each run, for example
`-- --config.train.steps=20`.

WORKDIR/ablation gets the table as ablation.md and its numbers as ablation.json after every run; the
full model's report is written again with the rows of the config's own seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from emola_jax.cli import command
from emola_jax.config import config_files, fields
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.evaluation.evaluate import SCORES_FILE
from emola_jax.experiment import run_checksums
from emola_jax.files import places
from emola_jax.files.json_values import JsonObject
from emola_jax.files.locks import one_writer
from emola_jax.files.whole import read_json, write_json, write_text
from emola_jax.metrics.scores import TaskScores, tasks_json
from emola_jax.reporting import run_page, terminal
from emola_jax.reporting.paper_tables import RENDERED
from emola_jax.study import subrun
from emola_jax.study.ablation_table import table

BOTH = 'both'

TITLES = {
    'prior_only': 'prior only',
    'vision_only': 'vision only',
    'shuffled': 'vision + shuffled prior',
    'before': 'prior + vision',
    'image': 'vision + computed prior',
    'several': 'vision + both priors',
    BOTH: 'vision + prior',
}
"""Rows as the report names them, in its order."""

DEFAULT_ROWS = ('prior_only', 'vision_only', BOTH)

JSON_FILE, TABLE_FILE = 'ablation.json', 'ablation.md'

Runs = dict[str, dict[str, TaskScores]]
"""Row -> seed (as text) -> scores by task."""


def ablate(
    config: str,
    workdir: Path,
    rows: Sequence[str] = DEFAULT_ROWS,
    seeds: Sequence[int] = (),
    run_flags: Sequence[str] = (),
) -> Runs:
    """Runs what is missing, then gathers the rows into a table and into the full model's report.

    Args:
      config: as `--config` takes it, without a row.
      workdir: of the full model.
      rows: some of `TITLES`; 'both' is run in any case.
      seeds: of the runs; () is the config's own.
      run_flags: more flags for each run.

    Raises:
      UserError: an unknown row, or one of the runs failed (its own message stands above).
    """
    unknown = sorted(set(rows) - set(TITLES))
    if unknown:
        raise UserError(f'--rows: unknown {", ".join(unknown)}; expected some of {list(TITLES)}')
    values = RunConfig.from_config_dict(config_files.load(config))
    places.check_output_folder(workdir)
    with one_writer(workdir / 'ablation', 'runs the ablation'):
        return _ablate(config, values, workdir, rows, seeds, run_flags)


def _ablate(
    config: str,
    values: RunConfig,
    workdir: Path,
    rows: Sequence[str],
    seeds: Sequence[int],
    run_flags: Sequence[str],
) -> Runs:
    own, rendered = values.seed, values.data.dataset == RENDERED
    found: Runs = {}
    for seed in seeds or (own,):
        for row in dict.fromkeys((BOTH, *rows)):
            folder = run_folder(workdir, row, seed, own)
            print(f'{folder}: {TITLES[row]}, seed {seed}', flush=True)
            asked = config if row == BOTH else config_files.with_argument(config, 'row', row)
            seed_flags = [] if seed == own else [f'--config.seed={seed}']
            subrun.run(asked, folder, [*seed_flags, *run_flags])
            found = gather(workdir, own)
            write_json(workdir / 'ablation' / JSON_FILE, _as_json(found))
            write_text(workdir / 'ablation' / TABLE_FILE, table(found, TITLES, rendered=rendered))
    if str(own) in found[BOTH]:
        with one_writer(workdir, 'adds the ablation'), run_checksums.renewed(workdir):
            _report(workdir, found, str(own))
    print(f'\n{table(found, TITLES, rendered=rendered)}\n')
    for title, file in (('table', TABLE_FILE), ('numbers', JSON_FILE)):
        print(f'  {title:<8} {workdir / "ablation" / file}')
    return found


def run_folder(workdir: Path, row: str, seed: int, own: int) -> Path:
    """Where a row's run lies; `own` is the config's seed."""
    if seed != own:
        return workdir / 'ablation' / f'seed{seed}' / row
    return workdir if row == BOTH else workdir / 'ablation' / row


def gather(workdir: Path, own: int) -> Runs:
    """The scores of every finished run below `workdir`."""
    others = (path.name.removeprefix('seed') for path in (workdir / 'ablation').glob('seed*'))
    seeds = [own, *sorted(int(seed) for seed in others if seed.isdecimal())]
    found: Runs = {}
    for row in TITLES:
        for seed in seeds:
            folder = run_folder(workdir, row, seed, own)
            if (folder / run_page.REPORT_FILE).exists():
                found.setdefault(row, {})[str(seed)] = subrun.scores_of(folder).tasks
    return found


def _as_json(found: Runs) -> JsonObject:
    return {
        row: {seed: tasks_json(scores) for seed, scores in by_seed.items()}
        for row, by_seed in found.items()
    }


def _report(workdir: Path, found: Runs, seed: str) -> None:
    """Puts the rows of one seed into the full model's scores, and writes its report again."""
    rows = {
        title: tasks_json(found[row][seed])
        for row, title in TITLES.items()
        if seed in found.get(row, {})
    }
    scores = read_json(workdir / SCORES_FILE)
    write_json(workdir / SCORES_FILE, scores | {'ablation': rows})
    run_page.write_report(workdir)
    terminal.print_summary(workdir)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'python -m emola_jax.ablation',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--config', required=True, help='a file that takes the argument row=ROW')
    parser.add_argument(
        '--workdir', required=True, type=places.path, help='of the full model, trained if need be'
    )
    parser.add_argument(
        '--rows',
        type=_list,
        default=DEFAULT_ROWS,
        metavar='ROW,…',
        help=f'some of {", ".join(TITLES)} (default: {",".join(DEFAULT_ROWS)})',
    )
    parser.add_argument(
        '--seeds', type=_seeds, default=(), metavar='N,…', help="default: the config's own"
    )
    parser.add_argument('flags', nargs='*', metavar='-- FLAGS', help='more flags for each run')
    return parser


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(',') if part.strip()]


def _seeds(text: str) -> list[int]:
    field = fields.FIELDS['seed']
    try:
        seeds = [int(part) for part in _list(text)]
    except ValueError:
        seeds = [-1]
    if not seeds or not all(map(field.accepts, seeds)):
        raise argparse.ArgumentTypeError(f'{text!r}: expected by commas {field.expected}')
    return seeds


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the arguments."""
    given = _parser().parse_args(argv)
    ablate(given.config, given.workdir, given.rows, given.seeds, given.flags)


def cli() -> None:
    """Runs `main`; prints a user error as one sentence, exit status 1."""
    with command.exits_with_a_sentence():
        main()


if __name__ == '__main__':
    cli()
