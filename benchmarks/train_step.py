"""One LoRA training step beside transformers' LLaVA with PEFT: time, memory, utilisation.

    python -m benchmarks.train_step                                hidden 256 x 8 layers, float32
    python -m benchmarks.train_step --dtype=bfloat16
    python -m benchmarks.train_step --preset=smollm2               the embedded default's sizes
    python -m benchmarks.train_step --preset=7b --dtype=bfloat16   for an accelerator

Both sides start from the same weights and do the same steps on the same conversations; the losses
of their first and their last step are in the result. Operations are those that
`emola_jax/compile/flops.py` counts for the method, without recomputation; they are held against
the rate that each side reaches in products of square matrices of the same type.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from benchmarks import comparison, measure, shapes
from benchmarks.measure import Figures, Side
from benchmarks.shapes import Shapes
from emola_jax.compile import flops
from emola_jax.config.sections import OptimiserConfig

OPTIMISER = OptimiserConfig(warmup_ratio=0.0)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    comparison.add_arguments(parser)
    parser.add_argument('--compile', action='store_true', help='the peer under torch.compile, too')
    args = parser.parse_args()
    figures = compare(comparison.chosen(args), turns=args.turns, compiled=args.compile)
    measure.report(f'train_step_{args.preset}_{args.dtype}', figures, out=args.out)


def compare(sizes: Shapes, *, turns: int, compiled: bool = False) -> Figures:
    """The figures of all sides at these sizes."""
    with comparison.weights(sizes) as folder:
        ours = {'shapes': sizes, 'folder': folder, **_SHARED}
        sides = {'emola': Side('benchmarks.emola_side:train_step', ours)}
        spec = {
            **comparison.torch_spec(sizes, folder),
            'batch': shapes.training_batch(sizes),
            'lora': dataclasses.asdict(sizes.model.lora),
            'checkpointing': sizes.model.remat != 'none',
            **_SHARED,
        }
        for name in ('torch', 'torch_compile')[: 1 + compiled]:
            own = {**spec, 'compile': name == 'torch_compile'}
            sides[name] = Side('benchmarks.torch_side:train_step', own)
    found = measure.alternate({n: side.turn for n, side in sides.items()}, warm_up=1, turns=turns)
    count = flops.train_flops(
        sizes.model,
        rows=sizes.conversations // sizes.segments,
        length=sizes.length * sizes.segments,
        trained=sizes.trained * sizes.segments,
        segments=sizes.segments,
    ).model
    tokens = sizes.conversations * sizes.length
    for name, row in found.items():
        rate = comparison.matmul_rate(sides[name], sizes)
        row |= {
            **sides[name].facts,
            **sides[name].end(),
            'tokens_per_second': tokens / row['wall'],
            'samples_per_second': sizes.conversations / row['wall'],
            'matmul_rate': rate,
            'utilisation': count / row['wall'] / rate,
        }
    peers = [name for name in found if name != 'emola']
    return {
        'shapes': sizes.describe(),
        'operations': count,
        'sides': found,
        'ratios': {peer: measure.ratio(found, 'emola', peer) for peer in peers},
        'memory': {
            peer: {
                key: found['emola'][key] / found[peer][key]
                for key in measure.PEAKS
                if key in found[peer]
            }
            for peer in peers
        },
    }


_SHARED: dict[str, Any] = {'optimiser': dataclasses.asdict(OPTIMISER)}


if __name__ == '__main__':
    main()
