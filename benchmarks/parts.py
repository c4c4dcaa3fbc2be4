"""Several benchmarks, one after the other, each a command of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


def run_all(parts: Mapping[str, Sequence[str]]) -> None:
    """Runs all parts, then says how long each took.

    Args:
      parts: name -> module under `benchmarks` and its arguments.

    Raises:
      SystemExit: one failed; the others have run.
    """
    seconds = {name: _run(name, part) for name, part in parts.items()}
    for name, took in seconds.items():
        print(f'{name:24} {"failed" if took is None else f"{took:.0f} s"}')
    if None in seconds.values():
        raise SystemExit(1)


def _run(name: str, part: Sequence[str]) -> float | None:
    """Seconds that it took; None if it failed."""
    command = ['-m', f'benchmarks.{part[0]}', *part[1:]]
    print(f'{name}: {shlex.join(["python", *command])}', flush=True)
    started = time.perf_counter()
    run = subprocess.run([sys.executable, *command], check=False, stdout=subprocess.DEVNULL)
    return None if run.returncode else time.perf_counter() - started
