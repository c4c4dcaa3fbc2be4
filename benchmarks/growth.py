"""How a training step's time grows with batch, length, rank and width; our side alone.

    python -m benchmarks.growth

Each value of one size is measured with the others as they are in `shapes.PRESETS`, in turns. The
exponent is the slope between the logarithms of the first and the last value: 1 where time grows
as the size does.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable
from typing import Any

from benchmarks import comparison, measure
from benchmarks.measure import Figures, Side
from benchmarks.shapes import Shapes
from emola_jax.config.sections import OptimiserConfig

OPTIMISER = dataclasses.asdict(OptimiserConfig(warmup_ratio=0.0))


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    comparison.add_arguments(parser, turns=5)
    parser.add_argument('--factors', type=int, nargs='+', default=(1, 2, 4), help='of each size')
    args = parser.parse_args()
    figures = growth(comparison.chosen(args), args.factors, turns=args.turns)
    measure.report(f'growth_{args.preset}_{args.dtype}', figures, out=args.out)


def growth(sizes: Shapes, factors: tuple[int, ...], *, turns: int) -> Figures:
    """Seconds a step for each factor of each size."""
    found: Figures = {}
    for name, (first, grow) in _SIZES.items():
        sides = {
            str(first(sizes) * factor): Side(
                'benchmarks.emola_side:train_step',
                {'shapes': grow(sizes, factor), 'folder': None, 'optimiser': OPTIMISER},
            )
            for factor in factors
        }
        timed = measure.alternate({n: s.turn for n, s in sides.items()}, warm_up=1, turns=turns)
        ends = [(float(n), timed[n]['wall']) for n in (next(iter(sides)), list(sides)[-1])]
        found[name] = {
            'seconds': {n: timed[n]['wall'] for n in sides},
            'cpu_seconds': {n: timed[n]['cpu'] for n in sides},
            'peak': {n: side.end()['peak'] for n, side in sides.items()},
            'exponent': math.log(ends[1][1] / ends[0][1]) / math.log(ends[1][0] / ends[0][0]),
        }
    return {'shapes': sizes.describe(), 'sizes': found}


def _model(sizes: Shapes, **changes: Any) -> Shapes:
    return sizes.replace(model=sizes.model.replace(**changes))


def _wider(sizes: Shapes, factor: int) -> Shapes:
    llm = sizes.model.llm
    grown = {name: getattr(llm, name) * factor for name in ('width', 'mlp', 'heads', 'kv_heads')}
    return _model(sizes, llm=dataclasses.replace(llm, **grown))


def _higher_rank(sizes: Shapes, factor: int) -> Shapes:
    lora = sizes.model.lora
    assert lora is not None
    return _model(sizes, lora=dataclasses.replace(lora, rank=lora.rank * factor))


_SIZES: dict[str, tuple[Callable[[Shapes], int], Callable[[Shapes, int], Shapes]]] = {
    'batch': (
        lambda sizes: sizes.conversations,
        lambda sizes, factor: sizes.replace(conversations=sizes.conversations * factor),
    ),
    'length': (
        lambda sizes: sizes.length,
        lambda sizes, factor: sizes.replace(length=sizes.length * factor),
    ),
    'rank': (lambda sizes: sizes.model.lora.rank if sizes.model.lora else 0, _higher_rank),
    'width': (lambda sizes: sizes.model.llm.width, _wider),
}
"""Size -> (its first value, the shapes with so many times of it)."""


if __name__ == '__main__':
    main()
