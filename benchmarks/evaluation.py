"""A whole evaluation of rendered faces beside the one-at-a-time loop of the same model.

    python -m benchmarks.evaluation --run=runs/mini
    python -m benchmarks.evaluation                    untrained: answers rarely end by themselves

128 faces, both questions each, from records to scores: in batches, with rows that take the next
question when they end, and one question at a time, as the released code does. The loop has all
cores as one device, which suits it best, and is timed on the first `--loop` questions and
scaled; nothing else is. Programs are compiled before. All ways have to write the same answers.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.measure import Figures, Side

QUESTIONS = 256
WAYS = ('batches', 'refilled', 'loop')


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default='configs/mini.py', help='the experiment')
    parser.add_argument('--run', type=Path, help='a trained run of this config')
    parser.add_argument('--questions', type=int, default=QUESTIONS, help='how many to answer')
    parser.add_argument('--loop', type=int, default=8, help='of them, how many the loop answers')
    parser.add_argument('--refill', type=int, default=8, help='rows that are refilled together')
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=WAYS, help='which of them')
    parser.add_argument('--turns', type=int, default=3, help='of each; medians count')
    parser.add_argument('--out', type=Path, help='where to write the figures')
    args = parser.parse_args()
    if 'loop' not in args.ways or len(args.ways) < 2:
        parser.error('--ways needs the loop and another one to hold against it')
    measure.report('evaluation', compare(args), out=args.out)


def compare(args: argparse.Namespace) -> Figures:
    """Seconds of each way, and how many times as fast as the loop it is."""
    spec = {'config': args.config, 'run': args.run}
    whole = Side('benchmarks.evaluation:evaluator', {**spec, 'devices': None})
    loop = Side('benchmarks.evaluation:evaluator', {**spec, 'devices': 1})
    every = {'limit': args.questions}
    calls = {
        'batches': functools.partial(whole.turn, every),
        'refilled': functools.partial(whole.turn, {**every, 'refill': args.refill}),
        'loop': functools.partial(loop.turn, {'limit': args.loop, 'batch_size': 1}),
    }
    # Prompts of every length are another program, so a warm-up asks all that a turn asks.
    found = measure.alternate({n: calls[n] for n in args.ways}, warm_up=1, turns=args.turns)
    answers = {name: row.pop('answers') for name, row in found.items()}
    one = found['loop']['wall'] / args.loop
    times = {
        name: one * args.questions / row['wall'] for name, row in found.items() if name != 'loop'
    }
    return {
        'trained': args.run is not None,
        'questions': args.questions,
        'sides': found,
        'loop_seconds_an_answer': one,
        'times_the_loop': {**times, 'best': max(times.values())},
        'same_answers': {
            name: sum(map(str.__eq__, answers['loop'], answers[name])) / args.loop for name in times
        },
        'peaks': {'whole': whole.end()['peak'], 'loop': loop.end()['peak']},
    }


def evaluator(spec: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Figures]:
    """A call evaluates with some fields of `config.eval` changed, into a folder of its own."""
    import tempfile

    from absl import flags

    from emola_jax.config import config_files
    from emola_jax.config.run import RunConfig
    from emola_jax.evaluation import evaluate
    from emola_jax.evaluation.answer_log import PREDICTIONS_FILE
    from emola_jax.experiment import prepare
    from emola_jax.experiment.checkpoint import Checkpoints, abstract_state
    from emola_jax.files.whole import read_jsonl
    from emola_jax.parallel import hosts
    from emola_jax.training import loop as train
    from emola_jax.training import optimiser as optim

    flags.FLAGS.mark_as_parsed()  # grain reads absl flags
    values = config_files.load(spec['config'])
    values.cpu_devices = spec['devices'] or values.cpu_devices
    config = RunConfig.from_config_dict(values)
    hosts.start(config.cpu_devices)
    keeper = tempfile.TemporaryDirectory()
    folder = Path(keeper.name)
    prepared = prepare.prepare(config, folder)
    trainable = prepared.trainable
    if spec['run'] is not None:
        steps = train.total_steps(config, train.planned(prepared))
        optimiser = optim.make_optimiser(config.train.optimiser, steps)
        state = abstract_state(train.new_state(prepared, optimiser))
        metadata = json.loads((spec['run'] / 'config.json').read_text())
        checkpoints = Checkpoints(spec['run'], keep=1, metadata=metadata)
        trainable = checkpoints.restore_trainable(state).trainable
    numbers = itertools.count()

    def call(changes: Mapping[str, Any]) -> Figures:
        assert keeper.name  # the folders live as long as this process
        own = folder / str(next(numbers))
        own.mkdir()
        settings = config.with_eval(**changes)
        changed = prepare.Experiment(**{**vars(prepared), 'config': settings, 'workdir': own})
        evaluate.evaluate(changed, trainable, step=0)
        rows = read_jsonl(own / PREDICTIONS_FILE)
        return {
            'answers': [row['prediction'] for row in rows],
            'finished': sum(row['finished'] for row in rows) / len(rows),
        }

    return call


if __name__ == '__main__':
    main()
