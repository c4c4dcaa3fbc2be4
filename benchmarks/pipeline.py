"""Samples a second of the input pipeline, beside those that a training step eats.

    python -m benchmarks.pipeline

Both on the embedded default's data and sizes, each in a process of its own, in turns: batches with
0 (threads of one process), 1 and 2 worker processes, and the step on batches that are there.
A turn takes `--batches` batches; what was read ahead before it is not counted twice, since the
buffers are as full at its end. Then a training run of `--steps` steps says itself which share of
its time it waited for batches.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import measure, start_up
from benchmarks.measure import Figures, Side
from benchmarks.shapes import PRESETS
from emola_jax.config.sections import OptimiserConfig
from emola_jax.files import assets

CONFIG = 'configs/mini.py'
WORKERS = (0, 1, 2)
_OPTIMISER = dataclasses.asdict(OptimiserConfig(warmup_ratio=0.0))


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batches', type=int, default=40, help='of a turn')
    parser.add_argument('--turns', type=int, default=5, help='of each; medians count')
    parser.add_argument('--out', type=Path, help='where to write the figures')
    parser.add_argument('--steps', type=int, default=8, help='of the run')
    args = parser.parse_args()
    found = compare(batches=args.batches, turns=args.turns)
    measure.report('pipeline', {**found, 'data_wait': data_wait(args.steps)}, out=args.out)


def compare(*, batches: int, turns: int) -> Figures:
    """Samples a second of each."""
    sizes = PRESETS['smollm2']
    spec = {'shapes': sizes, 'folder': None, 'optimiser': _OPTIMISER}
    step = Side('benchmarks.emola_side:train_step', spec)
    readers = {n: Side('benchmarks.pipeline:reader', {'workers': n}) for n in WORKERS}
    calls: dict[str, Callable[[], Figures]] = {'step': step.turn}
    for count, side in readers.items():
        calls[f'{count} workers'] = lambda side=side: side.turn(batches)
    found = measure.alternate(calls, warm_up=1, turns=turns)
    for side in (step, *readers.values()):
        side.end()
    eaten = sizes.conversations / found['step']['wall']
    for name, row in found.items():
        samples = sizes.conversations if name == 'step' else row['samples']
        row['samples_per_second'] = samples / row['wall']
        row['times_what_a_step_eats'] = row['samples_per_second'] / eaten
    return {'config': CONFIG, 'batches': batches, 'sides': found}


def data_wait(steps: int) -> float:
    """Share of a run's time, from its first step on, that it waited for batches."""
    with (
        tempfile.TemporaryDirectory() as folder,
        start_up.stepping(CONFIG, Path(folder), assets.cache_dir()) as rows,
    ):
        waits = [next(rows)['data_wait'] for _ in range(steps)]
    return statistics.mean(waits[1:])


def reader(spec: Mapping[str, Any]) -> Callable[[int], Figures]:
    """A call takes so many batches of the embedded default's training data."""
    from absl import flags

    from configs import mini
    from emola_jax.config.run import RunConfig
    from emola_jax.experiment import base, splits
    from input_pipeline.pipeline import plan_rows, train_batches

    flags.FLAGS.mark_as_parsed()  # grain reads absl flags
    values = mini.get_config()
    values.data.workers = spec['workers']
    config = RunConfig.from_config_dict(values)
    tokenizer = base.load_tokenizer(config.base)
    loaded = splits.load(config, config.model, tokenizer, Path('unused'), checked=False)
    split = loaded.splits[config.data.train_split]
    plan = plan_rows(split.source, split.selection.indices, loaded.encoder)
    batches: Iterator[Any] = iter(train_batches(split.source, loaded.encoder, plan))
    next(batches)

    def call(count: int) -> Figures:
        return {
            'samples': sum(int((next(batches)['record_index'] >= 0).sum()) for _ in range(count))
        }

    return call


if __name__ == '__main__':
    main()
