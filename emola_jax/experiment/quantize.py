"""A frozen base in 8 or 4 bits: what a config may ask for, and how weights get there.

`base.quantize` of a config is None, a name of `PRESETS`, or the fields of `QuantConfig`. The base's
files stay unchanged: matrices are quantised one layer at a time while they are placed, so a
7B model is never held in full anywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from emola_jax.experiment.state import group_of
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import param_shapes
from emola_jax.ops import quant
from emola_jax.ops.quant import Quantized
from emola_jax.weights import lazy


def frozen_bytes(model: EmolaConfig) -> int:
    """Bytes of all that is frozen in a model."""
    frozen = {path: leaf for path, leaf in param_shapes(model).items() if group_of(path) is None}
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(frozen))


def place(value: Any, abstract: Quantized, shardings: Quantized) -> Quantized:
    """Quantises a matrix, or a stack of them layer by layer, straight to where it belongs.

    Args:
      value: a `Lazy` or an array, [in, out] or [layers, in, out]; each host reads the pieces of its
        own devices.
      abstract: shapes and dtypes of the result.
      shardings: of the result, each a `NamedSharding`.
    """
    whole = lazy.of_array(value)
    axis = abstract.axis
    kind = 'int8' if abstract.codes.dtype == jnp.int8 else 'nf4'
    block = whole.shape[axis] // abstract.scales.shape[axis]
    blank, write = _writer(kind, axis, block, _shapes(abstract), shardings)
    stacked = len(whole.shape) == 3
    layers = lazy.layers(whole) if stacked else (whole,)
    codes: Any = shardings.codes
    where = NamedSharding(codes.mesh, PartitionSpec(*codes.spec[-2:]))
    result = blank()
    for number, layer in enumerate(layers):
        result = write(result, lazy.place(layer, layer.dtype, where), number)
    return result


def _shapes(abstract: Quantized) -> tuple[tuple[tuple[int, ...], str], ...]:
    return tuple((tuple(leaf.shape), str(leaf.dtype)) for leaf in abstract)


@functools.cache
def _writer(
    kind: str,
    axis: int,
    block: int,
    shapes: tuple[tuple[tuple[int, ...], str], ...],
    shardings: Quantized,
) -> tuple[Callable[[], Quantized], Callable[[Quantized, jax.Array, int], Quantized]]:
    """Compiled once for every kind of matrix: zeros, and a layer's codes put into them."""

    def blank() -> Quantized:
        return Quantized(*(jnp.zeros(shape, dtype) for shape, dtype in shapes))

    def write(stack: Quantized, matrix: jax.Array, layer: int) -> Quantized:
        parts = quant.quantize(matrix, kind, axis=axis, block=block)

        def put(old: jax.Array, part: jax.Array) -> jax.Array:
            if old.ndim == 2:
                return part
            return jax.lax.dynamic_update_index_in_dim(old, part, layer, 0)

        return Quantized(*map(put, stack, parts))

    return (
        jax.jit(blank, out_shardings=shardings),
        jax.jit(write, donate_argnums=0, out_shardings=shardings),
    )
