"""Statistics of an instruction set, as in the paper: CSV files and one HTML page.

    python -m emola_jax.statistics --dataset=synthetic_faces --out=statistics
    python -m emola_jax.statistics --dataset=faba_instruct --root=data --out=statistics
    python -m emola_jax.statistics --json=train_au_anno.json --task=au --out=statistics

Counts, lengths in words and sentences, emotions, action units and which occur together, words that
set an emotion's answers apart, and how varied instructions and answers are. Where entries carry no
label (the training split of FABA-Instruct, a JSON file), emotions and action units are read off the
answers by the strict scoring, and the page says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emola_jax.cli import command
from emola_jax.errors import UserError
from emola_jax.files import csv_files, places
from emola_jax.files.texts import printable
from emola_jax.files.whole import write_text
from emola_jax.reporting import dataset_counts, dataset_entries, dataset_page
from emola_jax.reporting.dataset_counts import Entry
from input_pipeline.records import TASKS

PAGE = 'statistics.html'


def write(entries: Sequence[Entry], out: Path, *, title: str, dataset: str) -> Path:
    """Writes one CSV file for each table, then the page; returns the page's path.

    Raises:
      UserError: there are no entries.
    """
    if not entries:
        raise UserError(f'{title}: no entries to count')
    sheets = dataset_counts.sheets(entries)
    for sheet in sheets.values():
        csv_files.write(out / f'{sheet.name}.csv', sheet.columns, sheet.rows)
    write_text(out / PAGE, dataset_page.render(title, dataset, entries, sheets))
    return out / PAGE


def summary(entries: Sequence[Entry], out: Path) -> list[str]:
    """Lines that say what was counted and where it is."""
    rows = dataset_counts.counts(entries).records()
    width = max(10, *(len(row['split']) for row in rows)) + 2
    heads = f'{"task":<9}{"records":>9}{"faces":>9}{"instructions":>14}{"words":>10}'
    lines = [f'{"split":<{width}}{heads}']
    lines += [
        f'{row["split"]:<{width}}{row["task"]:<9}{row["records"]:>9,}{row["faces"]:>9,}'
        f'{row["distinct_instructions"]:>14,}{row["words"]:>10,}'
        for row in rows
    ]
    return [*lines, '', f'  page    {out / PAGE}', f'  tables  {out}/*.csv']


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='python -m emola_jax.statistics',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--dataset', choices=dataset_entries.DATASETS)
    what.add_argument('--json', type=places.path, help='a LLaVA-style file; needs --task')
    parser.add_argument(
        '--root', type=places.path, default=Path('data'), help='folder of --dataset'
    )
    parser.add_argument('--config', default='configs/mini.py', help='whose rendered faces')
    parser.add_argument('--task', choices=TASKS, help='only this task')
    parser.add_argument(
        '--drop', action='store_true', help='leave bad records out and count them; default: stop'
    )
    parser.add_argument('--out', type=places.path, required=True, help='folder of the results')
    args = parser.parse_args(argv)
    with command.exits_with_a_sentence('emola_jax.statistics'):
        places.check_output_folder(args.out)
        entries = _entries(args)
        name = args.dataset or printable(args.json.name)
        write(entries, args.out, title=name, dataset=args.dataset or '')
        print('\n'.join(summary(entries, args.out)))
    return 0


def _entries(args: argparse.Namespace) -> list[Entry]:
    if args.json:
        if not args.task:
            raise UserError('--json: give --task=emotion or --task=au, which the file does not say')
        return dataset_entries.json_entries(args.json, args.task, drop=args.drop)
    splits = dataset_entries.splits(
        args.dataset, root=args.root, config=args.config, task=args.task, drop=args.drop
    )
    entries = [entry for split in splits for entry in dataset_entries.entries(split)]
    return [entry for entry in entries if args.task in (None, entry.task)]


if __name__ == '__main__':
    sys.exit(main())
