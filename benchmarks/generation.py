"""Greedy answers beside transformers' `generate`: first token, tokens a second, memory bandwidth.

    python -m benchmarks.generation                                 hidden 256 x 8 layers, float32
    python -m benchmarks.generation --preset=smollm2
    python -m benchmarks.generation --preset=7b --dtype=bfloat16    for an accelerator

Ours answers a batch side by side; the peer, as the released evaluation does, one question after the
other (`--together` measures it on whole batches as well). The adapter is merged on both sides, no
answer ends early, and the tokens of both are compared. The share of bandwidth is what reading all
weights once a step and the filled part of the cache take, over the rate of copying a large array.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any

from benchmarks import comparison, measure, shapes
from benchmarks.measure import Figures, Side
from benchmarks.shapes import Shapes

BATCHES = (1, 8, 16, 32, 64)
_ONE_AT_A_TIME = 4
"""Questions that the peer answers in a turn, at most: each costs it the same."""


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    comparison.add_arguments(parser, turns=5)
    parser.add_argument('--batches', type=int, nargs='+', default=BATCHES, help='questions a batch')
    parser.add_argument('--together', action='store_true', help='the peer on whole batches, too')
    args = parser.parse_args()
    figures = compare(
        comparison.chosen(args), args.batches, turns=args.turns, together=args.together
    )
    measure.report(f'generation_{args.preset}_{args.dtype}', figures, out=args.out)


def compare(
    sizes: Shapes, batches: tuple[int, ...], *, turns: int, together: bool = False
) -> Figures:
    """The figures at each batch size."""
    asked = shapes.prompts(sizes, max(batches))
    with comparison.weights(sizes) as folder:
        ours = {
            devices: Side(
                'benchmarks.emola_side:generation',
                {
                    'shapes': sizes.replace(devices=devices),
                    'prompts': asked,
                    'folder': folder,
                },
            )
            # A batch of one is split over nothing; a second device would answer an empty question.
            for devices in sorted({1 if n < sizes.devices else sizes.devices for n in batches})
        }
        spec = {**comparison.torch_spec(sizes, folder), 'prompts': asked}
        theirs = Side('benchmarks.torch_side:generation', spec)
    rows: dict[str, Any] = {}
    for count in batches:
        own = ours[1 if count < sizes.devices else sizes.devices]
        rows[str(count)] = _batch(own, theirs, sizes, count, turns=turns, together=together)
    rate = comparison.bandwidth(ours[min(ours)], sizes)
    peaks = {'emola': max((side.end() for side in ours.values()), key=lambda peak: peak['peak'])}
    peaks['torch'] = theirs.end()
    for count, row in rows.items():
        read = sizes.decoding_bytes(int(count))
        row['bandwidth_share'] = row['emola']['steps_per_second'] * read / rate
    return {
        'shapes': sizes.describe(),
        'bandwidth': rate,
        'batches': rows,
        'peaks': peaks,
    }


def _peers_rows(rows: int) -> int:
    return min(rows, _ONE_AT_A_TIME)


def _batch(
    ours: Side, theirs: Side, sizes: Shapes, rows: int, *, turns: int, together: bool
) -> Figures:
    fewer = _peers_rows(rows)
    calls = {}
    for name, count in (('first', 1), ('whole', sizes.new_tokens)):
        calls[f'emola {name}'] = functools.partial(ours.turn, rows, count)
        calls[f'torch {name}'] = functools.partial(theirs.turn, fewer, count)
        if together:
            calls[f'together {name}'] = functools.partial(theirs.turn, rows, count, True)
    found = measure.alternate(calls, warm_up=1, turns=turns)
    row: Figures = {}
    for side in ('emola', 'torch', *(['together'] if together else [])):
        whole, first = found[f'{side} whole'], found[f'{side} first']
        answers = fewer if side == 'torch' else rows
        steps = (sizes.new_tokens - 1) * (fewer if side == 'torch' else 1)
        row[side] = {
            'first_token_seconds': first['wall'] / (fewer if side == 'torch' else 1),
            'tokens_per_second': answers * sizes.new_tokens / whole['wall'],
            'steps_per_second': steps / (whole['wall'] - first['wall']),
            **{key: whole[key] for key in ('wall', 'cpu', 'best', 'walls')},
        }
    compared = {'emola': found['emola whole'], 'torch': found['torch whole']}
    row['ratio'] = measure.ratio(compared, 'emola', 'torch', work=rows / fewer)
    tokens = [found[f'{side} whole']['tokens'] for side in ('emola', 'torch')]
    row['same_tokens'] = comparison.same_share(*tokens)
    return row


if __name__ == '__main__':
    main()
