"""Every figure of docs/performance.md that a CPU gives, one claim after the other.

    python -m benchmarks.all_cpu                     about ten minutes on two idle cores
    python -m benchmarks.all_cpu --run=runs/mini     evaluates a trained run, whose answers end
    python -m benchmarks.all_cpu --only train_small pipeline

Each part is a command of its own, printed before it runs, and writes one file under
benchmarks/results/. Afterwards `python -m benchmarks.claims` holds the files against the claims.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping

PARTS: Mapping[str, str] = {
    'train_small': 'train_step --turns=7',
    'train_small_bf16': 'train_step --dtype=bfloat16 --turns=7',
    'train_smollm2': 'train_step --preset=smollm2 --turns=5',
    'generation_small': 'generation --batches 1 16 --turns=3',
    'generation_small_bf16': 'generation --dtype=bfloat16 --batches 1 16 --turns=3',
    'generation_smollm2': 'generation --preset=smollm2 --batches 1 --turns=3',
    'evaluation': 'evaluation --turns=1',
    'pipeline': 'pipeline --turns=3',
    'start_up': 'start_up --turns=2',
}
"""Name -> module under `benchmarks` and its arguments."""


def main() -> None:
    """Runs the parts; exits with 1 if one failed, after the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS), help='these parts')
    parser.add_argument('--run', help='a trained run of configs/mini.py, to evaluate')
    args = parser.parse_args()
    seconds = {name: run(name, args.run) for name in args.only}
    for name, took in seconds.items():
        print(f'{name:24} {"failed" if took is None else f"{took:.0f} s"}')
    if None in seconds.values():
        raise SystemExit(1)


def run(name: str, trained: str | None) -> float | None:
    """Seconds that a part took; None if it failed."""
    module, *arguments = PARTS[name].split()
    if trained and module == 'evaluation':
        arguments.append(f'--run={trained}')
    command = [sys.executable, '-m', f'benchmarks.{module}', *arguments]
    print(f'{name}: {shlex.join(["python", *command[1:]])}', flush=True)
    started = time.perf_counter()
    status = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    return None if status else time.perf_counter() - started


if __name__ == '__main__':
    main()
