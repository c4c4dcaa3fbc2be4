"""Every figure of docs/performance.md that a CPU gives, one claim after the other.

    python -m benchmarks.all_cpu                     needs two idle cores
    python -m benchmarks.all_cpu --run=runs/mini     evaluates a trained run, whose answers end
    python -m benchmarks.all_cpu --only train_small pipeline

Each part is a command of its own, printed before it runs, and writes one file under
benchmarks/results/. Then `python -m benchmarks.claims` holds the files against the claims.
"""

from __future__ import annotations

import argparse

from benchmarks import parts

PARTS = {
    'train_small': 'train_step --turns=7',
    'train_small_bf16': 'train_step --dtype=bfloat16 --turns=7',
    'train_smollm2': 'train_step --preset=smollm2 --turns=5',
    'generation_small': 'generation --devices=2 --batches 1 16 --turns=3',
    'generation_small_bf16': 'generation --dtype=bfloat16 --devices=2 --batches 1 16 --turns=3',
    'generation_smollm2': 'generation --preset=smollm2 --batches 1 --turns=3',
    'evaluation': 'evaluation --turns=1',
    'pipeline': 'pipeline --turns=3',
    'start_up': 'start_up --turns=2',
    'growth': 'growth --turns=3',
}


def main() -> None:
    """Runs the parts; exits with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS), help='these parts')
    parser.add_argument('--run', help='a trained run of configs/mini.py, to evaluate')
    args = parser.parse_args()
    wanted = {name: PARTS[name].split() for name in args.only}
    if args.run and 'evaluation' in wanted:
        wanted['evaluation'].append(f'--run={args.run}')
    parts.run_all(wanted)


if __name__ == '__main__':
    main()
