"""Interrupts a training at random steps, over and over, and checks that nothing is lost.

    python benchmarks/interruptions.py

Trains configs/tiny.py three times: left alone, killed (SIGKILL) and told to leave (SIGTERM), five
times each. After every interruption the newest checkpoint must be readable and no older than it has
to be; at the end the parameters must be those of the run left alone, bit for bit. Prints a line an
interruption and writes benchmarks/results/interruptions.json.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from emola_jax.checkpoint import read_trainable
from emola_jax.errors import Preempted
from emola_jax.files import read_jsonl, write_json
from emola_jax.train_log import METRICS_FILE

RESULTS = Path(__file__).parent / 'results' / 'interruptions.json'
EVERY = 4
"""Steps between two checkpoints."""


def main() -> None:
    """Runs all three trainings; exit status 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=5, help='interruptions by each signal')
    parser.add_argument('--steps', type=int, default=60, help='steps of a training')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / 'alone'
        assert _start(alone, arguments.steps).wait() == 0
        rows: list[dict[str, Any]] = []
        same = {}
        for name in ('SIGKILL', 'SIGTERM'):
            workdir = Path(folder) / name
            # Distinct moments, so that every start gets somewhere.
            moments = np.sort(rng.choice(np.arange(1, arguments.steps - 4), arguments.times, False))
            for moment in moments.tolist():
                rows.append(interrupt(workdir, arguments.steps, name, moment))
                print(json.dumps(rows[-1]), flush=True)
            assert _start(workdir, arguments.steps).wait() == 0
            same[name] = _same(alone, workdir)
    lost = sum(row['lost_beyond_checkpoint'] for row in rows)
    print(f'lost beyond the last checkpoint: {lost}; the same parameters bit for bit: {same}')
    result = {
        'command': ' '.join(['python', *sys.argv]),
        'machine': platform.processor() or platform.machine(),
        'versions': {
            name: importlib.metadata.version(name) for name in ('jax', 'orbax-checkpoint', 'grain')
        },
        'checkpoint_every': EVERY,
        'interruptions': rows,
        'same_parameters': same,
    }
    write_json(RESULTS, result)
    if lost or not all(same.values()):
        sys.exit(1)


def interrupt(workdir: Path, steps: int, name: str, moment: int) -> dict[str, Any]:
    """Starts or goes on, and sends the signal once `moment` steps are logged.

    Returns:
      The signal, the last logged step, the newest checkpoint's step (reading it must succeed), the
      exit status, and whether a step was lost that a finished checkpoint should have held.
    """
    process = _start(workdir, steps)
    while _logged(workdir) < moment:
        assert process.poll() is None, f'the training ended by itself: {process.returncode}'
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    status = process.wait()
    logged = _logged(workdir)
    saved = int(read_trainable(workdir)[0].name) if any(_checkpoints(workdir)) else 0
    if name == 'SIGTERM':
        lost = status != Preempted.EXIT_STATUS or saved < logged
    else:
        # The newest one may still have been on its way to disk, the one before it may not.
        lost = saved < (logged // EVERY - 1) * EVERY
    return {
        'signal': name,
        'steps_logged': logged,
        'newest_checkpoint': saved,
        'exit_status': status,
        'lost_beyond_checkpoint': bool(lost),
    }


def _start(workdir: Path, steps: int) -> subprocess.Popen[bytes]:
    workdir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', 'emola_jax.main', '--config=configs/tiny.py', '--mode=train']
    command += [f'--workdir={workdir}', f'--config.train.steps={steps}']
    command += [f'--config.train.checkpoint_every={EVERY}', '--config.train.log_every=1']
    with (workdir / 'output.txt').open('ab') as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


def _logged(workdir: Path) -> int:
    rows = read_jsonl(workdir / METRICS_FILE)
    return int(rows[-1]['step']) if rows else 0


def _checkpoints(workdir: Path) -> list[Path]:
    return [path for path in (workdir / 'checkpoints').glob('*') if path.name.isdecimal()]


def _same(one: Path, other: Path) -> bool:
    ours, theirs = (flatten_dict(read_trainable(workdir)[2]) for workdir in (one, other))
    return ours.keys() == theirs.keys() and all(
        np.array_equal(leaf, theirs[path]) for path, leaf in ours.items()
    )


if __name__ == '__main__':
    main()
