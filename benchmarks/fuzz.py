"""Damaged files of every kind, each read in a child with limits: answers or user errors only.

    python -m benchmarks.fuzz --minutes=60 --seed=0 --out=benchmarks/results/fuzz.json

A child reads case by case, with 1 GiB of address space above what it has at its start and 20 s of
processor time a case; a case that breaks either, or raises anything but a UserError, is listed and
can be run again: `--case=gguf-0-17`.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib.metadata
import io
import json
import os
import platform
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.fuzz_targets import TARGETS, Target

MEMORY = 1 << 30
SECONDS = 20.0
_START_SECONDS = 900
_PATIENCE = 15
"""How many times longer than it may compute a child may take by the clock."""
_LISTED = 50
ANSWER, SENTENCE = 'answers', 'sentences'


def run_case(target: Target, whole: Path, work: Path, name: str) -> tuple[str, str]:
    """Damages one file, by the case's name, and reads it; what came, and what it said."""
    from emola_jax.errors import UserError

    rng = random.Random(name)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(whole, work)
    chosen = rng.choice(sorted(p for p in work.rglob('*') if p.suffix in target.mutate))
    chosen.write_bytes(target.mutate[chosen.suffix](chosen.read_bytes(), rng))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            target.read(chosen)
    except UserError as error:
        return SENTENCE, str(error)[:300]
    except SystemExit as error:  # of a command, which prints the sentence
        return (SENTENCE if isinstance(error.code, str) else 'crashes'), str(error.code)[:300]
    except MemoryError as error:
        return 'beyond memory', f'{chosen.name}: {error!r:.200}'
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f'{type(error).__name__}: {error!s:.200}'
        return 'crashes', f'{chosen.name}: {what} ({Path(place.filename).name}:{place.lineno})'
    return ANSWER, ''


def child(name: str) -> None:
    """Reads numbers of cases, one a line, and answers each with a line of JSON."""
    target = TARGETS[name]
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a reader prints is no answer
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        whole = Path(folder) / 'whole'
        whole.mkdir()
        target.files(whole)
        for path in sorted(whole.rglob('*')):  # imports what a whole file needs
            if path.suffix in target.mutate:
                shutil.copytree(whole, Path(folder) / 'first')
                with contextlib.suppress(Exception, SystemExit):
                    target.read(Path(folder) / 'first' / path.relative_to(whole))
                shutil.rmtree(Path(folder) / 'first')
        used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        print('ready', file=answers, flush=True)
        for line in sys.stdin:
            found = run_case(target, whole, Path(folder) / 'case', line.strip())
            print(json.dumps(found), file=answers, flush=True)


class _Child:
    """A child process that is started again after each case that it did not survive.

    Attributes:
      seconds: of processor time that the last case took.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: Any = None
        self.seconds = 0.0

    def run(self, case: str) -> tuple[str, str]:
        if self._process is None:
            command = [sys.executable, '-m', 'benchmarks.fuzz', f'--child={self._name}']
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'OPENCV_LOG_LEVEL': 'OFF'},
            )
            if self._line(_START_SECONDS) != 'ready\n':
                raise RuntimeError(f'{self._name}: the child does not start')
        before = self._computed()
        self._process.stdin.write(case + '\n')
        self._process.stdin.flush()
        line = self._line(SECONDS)
        self.seconds = self._computed() - before
        if line:
            kind, said = json.loads(line)
            return kind, said
        status = self._process.poll()
        self.close()
        return ('beyond time', '') if status is None else ('deaths', f'status {status}')

    def _line(self, seconds: float) -> str:
        """The next line; '' if the child ends, or computes or waits for too long."""
        end = self._computed() + seconds
        patience = time.monotonic() + _PATIENCE * seconds
        while self._process.poll() is None:
            ready, _, _ = select.select([self._process.stdout], [], [], 1)
            if ready:
                return self._process.stdout.readline()
            if self._computed() > end or time.monotonic() > patience:
                break
        return ''

    def _computed(self) -> float:
        """Seconds of processor time of the child, which a busy machine does not stretch."""
        with contextlib.suppress(OSError):
            fields = Path(f'/proc/{self._process.pid}/stat').read_text().rpartition(')')[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        return 0.0

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def fuzz(names: list[str], seed: int, minutes: float) -> dict[str, Any]:
    """Tries the targets in turn for so long."""
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in names}
    faults: list[dict[str, str]] = []
    slowest = dict.fromkeys(names, 0.0)
    end, number = time.monotonic() + 60 * minutes, 0
    children = {name: _Child(name) for name in names}
    try:
        while time.monotonic() < end:
            for name in names:
                case = f'{name}-{seed}-{number}'
                kind, said = children[name].run(case)
                slowest[name] = max(slowest[name], children[name].seconds)
                counts[name][kind] += 1
                if kind not in (ANSWER, SENTENCE):
                    faults.append({'case': case, 'kind': kind, 'said': said})
                    print(case, kind, said, flush=True)
            number += 1
    finally:
        for one in children.values():
            one.close()
    return {
        'targets': {
            name: {**counts[name], 'slowest_cpu_s': round(slowest[name], 2)} for name in names
        },
        'faults': faults[:_LISTED],
    }


def main() -> None:
    """Runs the fuzzers and writes what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--target', choices=TARGETS)
    parser.add_argument(
        '--case', help='run this one here, without limits: a name such as gguf-0-17'
    )
    parser.add_argument('--out', type=Path)
    parser.add_argument('--child', choices=TARGETS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child)
        return
    if args.case:
        target = TARGETS[args.case.split('-')[0]]
        with tempfile.TemporaryDirectory() as folder:
            (whole := Path(folder) / 'whole').mkdir()
            target.files(whole)
            print(run_case(target, whole, Path(folder) / 'case', args.case))
        return
    found = fuzz([args.target] if args.target else list(TARGETS), args.seed, args.minutes)
    packages = (
        'jax',
        'numpy',
        'opencv-python-headless',
        'pillow',
        'safetensors',
        'tokenizers',
        'gguf',
    )
    report = {
        'command': f'python -m benchmarks.fuzz --minutes={args.minutes:g} --seed={args.seed}',
        'limits': {'bytes_above_start': MEMORY, 'seconds': SECONDS},
        'python': platform.python_version(),
        'versions': {name: importlib.metadata.version(name) for name in packages},
        **found,
    }
    print(json.dumps(report['targets'], indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + '\n')


if __name__ == '__main__':
    main()
