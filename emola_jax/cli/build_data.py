"""Checks, builds and sums up a data set from its owners' files.

    python -m emola_jax.build_data --list
    python -m emola_jax.build_data --dataset=disfa --root=data
    python -m emola_jax.build_data --dataset=emotionet --root=data --drop
    python -m emola_jax.build_data --dataset=folder --root=~/photos --labels=mine.csv

A run that is started with the same data set and root finds it built. Killed, the same command goes
on after the last finished shard. docs/datasets.md describes each data set's layout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from emola_jax.cli import command
from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.files import assets, places
from emola_jax.files.json_values import JsonObject
from input_pipeline.datasets import build, registry
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Options


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='python -m emola_jax.build_data',
        description="Checks, builds and sums up a data set from its owners' files.",
    )
    parser.add_argument('--list', action='store_true', help='what to get of each, and from whom')
    parser.add_argument('--dataset', help=', '.join(registry.BUILDERS))
    parser.add_argument(
        '--root', type=places.path, default=Path('data'), help='the files; default: data'
    )
    parser.add_argument(
        '--out',
        type=places.path,
        help='folder of built data sets; default: where runs look for them',
    )
    parser.add_argument('--task', help='emotion, au or mix; default: all that it has labels for')
    parser.add_argument(
        '--frame-step',
        type=command.positive,
        default=1,
        help='of videos, take one labelled frame in so many',
    )
    parser.add_argument('--labels', default='', help='label file of --dataset=folder, below --root')
    parser.add_argument(
        '--drop', action='store_true', help='leave bad records out and count them; default: stop'
    )
    parser.add_argument(
        '--threads', type=command.whole(1, 1024), default=4, help='readers of pictures; default: 4'
    )
    args = parser.parse_args(argv)
    if args.list:
        print('\n\n'.join(_instructions(faces.DATA_SET) for faces in registry.BUILDERS.values()))
        return 0
    if not args.dataset:
        parser.error('expected --dataset (or --list)')
    with command.exits_with_a_sentence('emola_jax.build_data'):
        faces = registry.find(args.dataset)
        tasks = faces.DATA_SET.tasks
        task = args.task or ('mix' if len(tasks) > 1 else tasks[0])
        data_dir = args.out or assets.cache_dir() / 'datasets'
        places.check_output_folder(data_dir)
        built = build.build(
            faces,
            Options(task=task, frame_step=args.frame_step, labels=args.labels),
            root=args.root,
            data_dir=data_dir,
            drop=args.drop,
            threads=args.threads,
        )
        print('\n'.join(summary(build.describe(built), built)))
    return 0


def summary(told: JsonObject, built: Path) -> list[str]:
    """One screen: records, people and landmarks of each split, labels, what was left out, where."""
    splits = told['splits']
    lines = [f'{told["data_set"]}, task {told["options"]["task"]}', '', _row('', splits)]
    lines.append(_row('records', [of_split['records'] for of_split in splits.values()]))
    lines.append(
        _row('subjects', [len(of_split['subjects']) or '-' for of_split in splits.values()])
    )
    lines.append(
        _row('with landmarks', [of_split['with_landmarks'] for of_split in splits.values()])
    )
    for kind, names in (('emotions', EMOTIONS), ('aus', map(str, AU_NAMES))):
        for name in names:
            counts = [of_split[kind].get(name, 0) for of_split in splits.values()]
            if any(counts):
                title = f'AU{name} {AU_NAMES[int(name)]}' if kind == 'aus' else name
                lines.append(_row(title, counts))
    lines.append('')
    if told['dropped']:
        reasons = ', '.join(f'{count} {reason}' for reason, count in told['dropped'].items())
        lines.append(f'left out: {reasons}')
    lines += told.get('notes', [])
    if not any(of_split['with_landmarks'] for of_split in splits.values()):
        lines.append('no landmarks: a model with the facial prior needs them; see docs/datasets.md')
    lines.append(f'built in {built}')
    return lines


def _row(title: str, cells: Iterable[object]) -> str:
    return f'{title:<28}' + ' '.join(f'{cell:>11}' for cell in cells)


def _instructions(data_set: DataSet) -> str:
    return f'--dataset={data_set.name}\n{data_set.instructions}'


if __name__ == '__main__':
    sys.exit(main())
