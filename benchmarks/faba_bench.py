"""Answers to as many questions as FABA-Bench has, on random weights: seconds, ours alone.

    python -m benchmarks.faba_bench --preset=7b --dtype=bfloat16

403 questions on emotions with 60 new tokens each and 325 on action units with 250, in batches of
`--batch`; no answer ends early, so that this is what an evaluation takes at most. Compilation is
not in it.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping

from benchmarks import comparison, measure, shapes
from benchmarks.measure import Figures, Side
from benchmarks.shapes import Shapes

QUESTIONS: Mapping[int, int] = {60: 403, 250: 325}
"""New tokens -> how many questions get so many."""


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    comparison.add_arguments(parser, turns=3)
    parser.add_argument('--batch', type=int, default=64, help='questions side by side')
    args = parser.parse_args()
    figures = answer_all(comparison.chosen(args), args.batch, turns=args.turns)
    measure.report(f'faba_bench_{args.preset}_{args.dtype}', figures, out=args.out)


def answer_all(sizes: Shapes, batch: int, *, turns: int) -> Figures:
    """Seconds of one full batch of each task, and of all batches."""
    spec = {'shapes': sizes, 'prompts': shapes.prompts(sizes, batch), 'folder': None}
    side = Side('benchmarks.emola_side:generation', spec)
    calls = {str(new): functools.partial(side.turn, batch, new) for new in QUESTIONS}
    found = measure.alternate(calls, warm_up=1, turns=turns)
    batches = {str(new): -(-count // batch) for new, count in QUESTIONS.items()}
    return {
        'shapes': sizes.describe(),
        'batch': batch,
        'batches': batches,
        'seconds_a_batch': {new: found[new]['wall'] for new in batches},
        'seconds': sum(found[new]['wall'] * count for new, count in batches.items()),
        'peaks': side.end(),
    }


if __name__ == '__main__':
    main()
