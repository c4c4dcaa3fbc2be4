"""Timing that a user can repeat: sides in processes of their own, in turns, medians, one JSON.

A side is a function that prepares its work once and returns a call that does it once. Each has a
process of its own, so that threads, allocator and memory are its own, and only one works at a time.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from emola_jax.files.whole import write_json

RESULTS = Path(__file__).parent / 'results'

PEAKS = ('peak', 'device_peak')
"""Fields of `Side.end`; see `worker`."""

_PACKAGES = ('jax', 'jaxlib', 'flax', 'numpy', 'torch', 'transformers', 'peft')

Figures = dict[str, Any]


class Side:
    """One side of a comparison: a process that prepares `work` and then does it when asked."""

    def __init__(self, work: str, spec: Mapping[str, Any], env: Mapping[str, str] | None = None):
        """Starts the process and waits until it is prepared; see `prepare`.

        Args:
          work: as of `prepare`.
          spec: as of `prepare`.
          env: beside this process's own environment.
        """
        self._here, there = Pipe()
        command = [sys.executable, '-m', 'benchmarks.worker', str(there.fileno())]
        self._process = subprocess.Popen(
            command, pass_fds=[there.fileno()], env={**os.environ, **(env or {})}
        )
        there.close()
        self.facts = self.prepare(work, spec)

    def prepare(self, work: str, spec: Mapping[str, Any]) -> Figures:
        """What a turn does from now on.

        Args:
          work: 'module:function'; the function takes `spec` and returns a call, or a pair of a call
            and a dict of facts about it.
          spec: picklable.

        Raises:
          RuntimeError: the process died or the function raised; says which and why.
        """
        self.work = work
        self._here.send(('prepare', work, dict(spec)))
        return self._answer()

    def turn(self, *args: Any) -> Figures:
        """Calls it once: 'wall' and 'cpu' in seconds, and what it returned, if a dict."""
        self._here.send(('turn', args))
        return self._answer()

    def end(self) -> Figures:
        """Ends the process: peak memory in bytes, see `worker`."""
        self._here.send(('end',))
        peaks = self._answer()
        self._process.wait()
        return peaks

    def _answer(self) -> Figures:
        try:
            answer: Figures = self._here.recv()
        except EOFError:
            answer = {'error': f'process ended with status {self._process.wait()}'}
        if 'error' in answer:
            raise RuntimeError(f'{self.work}: {answer["error"]}')
        return answer


def alternate(
    calls: Mapping[str, Callable[[], Figures]], *, warm_up: int, turns: int
) -> dict[str, Figures]:
    """Turns of all sides in alternation, A B A B.

    Args:
      calls: each does one turn of a side; see `Side.turn`.
      warm_up: turns of each that don't count.
      turns: turns of each that do.

    Returns:
      For each side what `summary` makes of its turns.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    rows: dict[str, list[Figures]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            rows[name].append(call())
    return {name: summary(found) for name, found in rows.items()}


def summary(turns: Sequence[Figures]) -> Figures:
    """Turns of one side in short.

    Returns:
      'wall' and 'cpu', the medians in seconds; 'best', the shortest wall time; 'walls', all of
      them; and the last value of whatever else a turn returned.
    """
    walls = [turn['wall'] for turn in turns]
    others = {name: value for name, value in turns[-1].items() if name not in ('wall', 'cpu')}
    return {
        'wall': statistics.median(walls),
        'cpu': statistics.median(turn['cpu'] for turn in turns),
        'best': min(walls),
        'walls': walls,
        **others,
    }


def ratio(figures: Mapping[str, Figures], ours: str, theirs: str, *, work: float = 1.0) -> Figures:
    """How many times as fast `ours` is: by wall time, by CPU time, by the best turns.

    Args:
      figures: of `alternate`.
      ours: name of a side.
      theirs: name of another.
      work: what a turn of ours does, in turns of theirs.
    """
    a, b = figures[ours], figures[theirs]
    return {key: work * b[key] / a[key] for key in ('wall', 'cpu', 'best')}


def report(name: str, figures: Figures, *, out: Path | None = None) -> None:
    """Prints the figures and writes them to results/`name`.json, or `out`.

    With them go command, versions and device.
    """
    path = out or RESULTS / f'{name}.json'
    asked = [argument for argument in sys.argv[1:] if not argument.startswith('--out=')]
    command = ' '.join(['python', '-m', f'benchmarks.{Path(sys.argv[0]).stem}', *asked])
    whole = rounded({'command': command, 'machine': machine(), **figures})
    print(json.dumps(whole, indent=2))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, whole)


def rounded(tree: Any) -> Any:
    """The same with every float to four digits."""
    if isinstance(tree, dict):
        return {name: rounded(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [rounded(value) for value in tree]
    return float(f'{tree:.4g}') if isinstance(tree, float) else tree


def machine() -> Figures:
    """Processor, its cores, and the versions of what was measured."""
    versions = {'python': platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = 'not installed'
    return {'processor': _processor(), 'cores': os.cpu_count(), 'versions': versions}


def _processor() -> str:
    path = Path('/proc/cpuinfo')
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()
