"""The figures for an accelerator: the full 7B on random weights, beside PyTorch on the same card.

    python -m benchmarks.all_gpu
    python -m benchmarks.all_gpu --preset=tiny --dtype=float32 --turns=1     a try on a CPU, minutes

Each part is a command of its own, printed before it runs, and writes one file under
benchmarks/results/. PyTorch is asked for the step with and without torch.compile.
"""

from __future__ import annotations

import argparse

from benchmarks import parts
from benchmarks.comparison import DTYPES
from benchmarks.shapes import PRESETS


def main() -> None:
    """Runs the parts; exits with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--preset', choices=PRESETS, default='7b', help='sizes')
    parser.add_argument('--dtype', choices=DTYPES, default='bfloat16')
    parser.add_argument('--turns', type=int, default=5, help='of each side; medians count')
    args = parser.parse_args()
    sizes = [f'--preset={args.preset}', f'--dtype={args.dtype}', f'--turns={args.turns}']
    parts.run_all(
        {
            'train': ['train_step', *sizes, '--compile'],
            'generation': ['generation', *sizes, '--batches', '1', '8', '32', '64'],
            'faba_bench': ['faba_bench', *sizes],
        }
    )


if __name__ == '__main__':
    main()
