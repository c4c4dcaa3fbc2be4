"""Seconds from the command to the first step of the embedded default, cold and warm.

    python -m benchmarks.start_up

Assets, data set and vision tower are there already; only the compiled programs differ: none in the
cold start, those of the start before in the warm ones. The clock runs from the command to the first
line of metrics.jsonl, which stands there once the first step's loss has been read.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import Figures
from emola_jax.files import assets
from emola_jax.training.log import METRICS_FILE

COMPILED = 'compiled'
_PATIENCE = 1800


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default='configs/mini.py', help='the experiment')
    parser.add_argument('--turns', type=int, default=3, help='warm starts; the median counts')
    parser.add_argument('--out', type=Path, help='where to write the figures')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure.report('start_up', starts(args.config, Path(folder), args.turns), out=args.out)


def starts(config: str, folder: Path, turns: int, options: Sequence[str] = ()) -> Figures:
    """One cold and `turns` warm starts.

    Args:
      config: the experiment.
      folder: empty; run folders and compiled programs go there.
      turns: how many warm starts.
      options: more flags of the command.
    """
    cache = cache_without_programs(folder / 'cache')
    cold = first_step(config, folder / 'cold', cache, options)
    warm = [first_step(config, folder / f'warm{n}', cache, options) for n in range(turns)]
    return {'config': config, 'cold': cold, 'warm': statistics.median(warm), 'warm_starts': warm}


def first_step(config: str, workdir: Path, cache: Path, options: Sequence[str] = ()) -> float:
    """Seconds until the first step of a new run is logged; the run is then stopped."""
    started = time.perf_counter()
    with stepping(config, workdir, cache, options) as rows:
        next(rows)
        return time.perf_counter() - started


@contextlib.contextmanager
def stepping(
    config: str, workdir: Path, cache: Path, options: Sequence[str] = ()
) -> Iterator[Iterator[Figures]]:
    """A new run, as the rows of its metrics.jsonl while they come, one a step; stopped at the end.

    Raises:
      RuntimeError: it ended or took half an hour for a step.
    """
    command = [sys.executable, '-m', 'emola_jax.main', f'--config={config}', '--mode=train']
    command += [f'--workdir={workdir}', '--config.train.log_every=1', *options]
    run = subprocess.Popen(command, env={**os.environ, 'EMOLA_CACHE': str(cache)})
    try:
        yield _rows(run, workdir / METRICS_FILE)
    finally:
        run.kill()
        run.wait()


def _rows(run: subprocess.Popen[bytes], log: Path) -> Iterator[Figures]:
    seen, asked = 0, time.perf_counter()
    while True:
        has_ended = run.poll() is not None
        lines = log.read_text().splitlines(keepends=True) if log.is_file() else []
        whole = [line for line in lines if line.endswith('\n')]
        for line in whole[seen:]:
            yield json.loads(line)
            seen, asked = seen + 1, time.perf_counter()
        if has_ended or time.perf_counter() - asked > _PATIENCE:
            raise RuntimeError(f'{log}: no step {seen + 1} within {_PATIENCE} s, {run.args!r}')
        time.sleep(0.02)


def cache_without_programs(folder: Path) -> Path:
    """A cache folder that shares everything with the user's but the compiled programs."""
    folder.mkdir()
    for entry in assets.cache_dir().iterdir():
        if entry.name != COMPILED:
            (folder / entry.name).symlink_to(entry)
    return folder


if __name__ == '__main__':
    main()
