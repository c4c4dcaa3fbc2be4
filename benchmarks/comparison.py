"""What the comparisons with transformers share: their arguments, weights, and the peer's sizes."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Figures, Side
from benchmarks.shapes import PRESETS, Shapes
from emola_jax.formats.hf_config_out import emola_config
from emola_jax.models.tokenizer import Tokenizer

DTYPES = ('float32', 'bfloat16')
_LARGEST_SHARED = 2e9
"""Parameters up to which both sides get the same weights; larger ones are random on each."""


def add_arguments(parser: argparse.ArgumentParser, *, turns: int = 7) -> None:
    """Sizes, type, number of turns, and where to write."""
    parser.add_argument('--preset', choices=PRESETS, default='small', help='sizes')
    parser.add_argument(
        '--dtype', choices=DTYPES, default='float32', help='of weights and products'
    )
    parser.add_argument('--devices', type=int, help='that we split a CPU into')
    parser.add_argument('--turns', type=int, default=turns, help='of each side; medians count')
    parser.add_argument('--out', type=Path, help='where to write the figures')


def chosen(args: argparse.Namespace) -> Shapes:
    """The sizes that the arguments name."""
    sizes = PRESETS[args.preset].with_dtype(args.dtype)
    return sizes.replace(devices=args.devices) if args.devices else sizes


@contextlib.contextmanager
def weights(sizes: Shapes) -> Iterator[Path | None]:
    """A folder with the weights that our side draws, as transformers names them; None if large."""
    if sizes.parameters() > _LARGEST_SHARED:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        writer = Side('benchmarks.emola_side:write_weights', {'shapes': sizes, 'folder': folder})
        writer.turn()
        writer.end()
        yield Path(folder)


def torch_spec(sizes: Shapes, folder: Path | None) -> dict[str, Any]:
    """What `torch_side` builds its model from."""
    model = sizes.model
    placeholder = model.llm.vocab  # beyond the table, as in the folders that we write
    return {
        'config': emola_config(model, Tokenizer.byte_level(), placeholder, model.dtype),
        'folder': folder,
        'dtype': model.dtype,
        'threads': os.cpu_count(),
    }


def same_share(ours: list[list[int]], theirs: list[list[int]]) -> float:
    """Share of tokens that are the same in both, as far as both have answers.

    Weights are random and no answer is likelier than others, so that a rounding can turn an answer,
    from where on nothing is the same.
    """
    pairs = [
        one == other
        for a, b in zip(ours, theirs, strict=False)
        for one, other in zip(a, b, strict=True)
    ]
    return sum(pairs) / len(pairs)


def matmul_rate(side: Side, sizes: Shapes) -> float:
    """Operations a second that a side reaches in products of square matrices."""
    module = side.work.partition(':')[0]
    spec = {'size': sizes.matmul_size, 'dtype': sizes.model.dtype, 'threads': os.cpu_count()}
    side.prepare(f'{module}:matmul_rate', spec)
    return _best_rate(side, 'operations')


def bandwidth(side: Side, sizes: Shapes) -> float:
    """Bytes a second that our side reads and writes in copying an array as large as the weights."""
    side.prepare('benchmarks.emola_side:bandwidth', {'bytes': max(sizes.decoding_bytes(1), 1e7)})
    return _best_rate(side, 'bytes')


def _best_rate(side: Side, what: str) -> float:
    turns: list[Figures] = [side.turn() for _ in range(6)][1:]
    return max(turn[what] / turn['wall'] for turn in turns)
