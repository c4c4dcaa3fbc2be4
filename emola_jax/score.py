"""Scores a predictions file again, without the model.

python -m emola_jax.score runs/mini/predictions.jsonl --dataset=faba --task=au --out=scores.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emola_jax import files
from emola_jax.errors import UserError
from emola_jax.metrics import action_units, rege


def read_samples(path: Path, task: rege.Task) -> list[rege.Sample]:
    """Reads the samples of `task` from a predictions.jsonl; rows of another task are left out.

    Raises:
      UserError: for a missing file, a line that is no JSON object, or a bad or repeated row.
    """
    if not path.is_file():
        raise UserError(f'{path}: no such file; expected a predictions.jsonl')
    samples: dict[str, rege.Sample] = {}
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f'{path}, line {number}: not JSON ({error.msg})') from None
        if not isinstance(row, dict):
            raise UserError(f'{path}, line {number}: expected a JSON object')
        try:
            sample = rege.Sample.from_row(row)
        except UserError as error:
            raise UserError(f'{path}, line {number}: {error}') from None
        if row['task'] != task:
            continue
        if sample.id in samples:
            raise UserError(f'{path}, line {number}: id {sample.id!r} occurs twice')
        samples[sample.id] = sample
    if not samples:
        raise UserError(f'{path}: no predictions of task {task!r}')
    return list(samples.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='python -m emola_jax.score', description='Scores a predictions.jsonl (REGE).'
    )
    parser.add_argument('predictions', type=Path, help='one JSON object a line, as evaluate writes')
    parser.add_argument('--task', choices=('emotion', 'au'), required=True)
    parser.add_argument(
        '--dataset',
        default='faba',
        help='whose action units: ' + ', '.join(action_units.SCORED_AUS),
    )
    parser.add_argument('--out', type=Path, help='write all scores to this JSON file')
    args = parser.parse_args(argv)
    try:
        aus = action_units.scored_aus(args.dataset) if args.task == 'au' else ()
        scores = rege.score(read_samples(args.predictions, args.task), args.task, aus)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    if args.out:
        files.write_json(args.out, {args.task: scores})
    print('\n'.join(summary(scores)))
    return 0


def summary(scores: dict[str, Any]) -> list[str]:
    """Lines that show the main numbers of both scorings."""
    lines = [f'{"scoring":<10} {"n":>6} {"S_re":>7} {"S_ge":>7} {"S_rege":>7} {"unparsed":>9}']
    for scoring in ('strict', 'reference'):
        part = scores[scoring]
        numbers = [_two_decimals(part[key]) for key in ('s_re', 's_ge', 's_rege')]
        lines.append(
            f'{scoring:<10} {scores["n"]:>6} '
            + ' '.join(f'{number:>7}' for number in numbers)
            + f' {part["unparsed"]:>9}'
        )
    return lines


def _two_decimals(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'


if __name__ == '__main__':
    sys.exit(main())
