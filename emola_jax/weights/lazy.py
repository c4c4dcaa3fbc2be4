"""A tensor that is read piece by piece, so that a model never has to stand in memory whole.

What lies in a file, what a rule turns it into, layers stacked on one axis, an adapter added to its
kernel: each is a `Lazy`, and only the pieces that somebody asks for are ever read or computed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.typing import DTypeLike

Index = tuple[slice, ...]
"""One slice a dimension, with start and stop given and no step."""


@dataclasses.dataclass(frozen=True, eq=False)
class Lazy:
    """A tensor that isn't read yet.

    Attributes:
      shape: of the whole.
      dtype: of what `read` returns.
      read: the piece at an index, as a host array (possibly a view).
      origin: the file it comes from, for reports.
      layers: what axis 0 is stacked of, if it is.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Index], np.ndarray]
    origin: str = ''
    layers: tuple[Lazy, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the whole."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def piece(self, index: Sequence[slice]) -> np.ndarray:
        """The piece at `index`; dimensions that it leaves out are taken whole."""
        spans = [*index, *[slice(None)] * (len(self.shape) - len(index))]
        bounds = (span.indices(size) for span, size in zip(spans, self.shape, strict=True))
        return self.read(tuple(slice(start, max(start, stop)) for start, stop, _ in bounds))

    def whole(self) -> np.ndarray:
        """All of it."""
        return self.piece(())

    def astype(self, dtype: DTypeLike) -> Lazy:
        """The same values in another type, cast as they are read."""
        target = np.dtype(dtype)
        if target == self.dtype:
            return self
        return dataclasses.replace(
            self,
            dtype=target,
            read=lambda index: self.read(index).astype(target),
            layers=tuple(layer.astype(target) for layer in self.layers),
        )


def of_array(array: Lazy | np.ndarray | jax.Array, origin: str = '') -> Lazy:
    """An array that is in memory already (NumPy's or jax's); a `Lazy` stays what it is."""
    if isinstance(array, Lazy):
        return array
    return Lazy(
        tuple(array.shape), np.dtype(array.dtype), lambda index: np.asarray(array[index]), origin
    )


def layers(lazy: Lazy) -> tuple[Lazy, ...]:
    """The tensors that are stacked on axis 0."""

    def layer(number: int) -> Lazy:
        at = slice(number, number + 1)
        return Lazy(
            lazy.shape[1:], lazy.dtype, lambda index: lazy.read((at, *index))[0], lazy.origin
        )

    return lazy.layers or tuple(layer(number) for number in range(lazy.shape[0]))


def stack(parts: Sequence[Lazy]) -> Lazy:
    """Tensors of one shape and type, stacked on a new axis 0; a piece is filled layer by layer."""
    first = parts[0]
    dtype = np.result_type(*(part.dtype for part in parts))

    def read(index: Index) -> np.ndarray:
        chosen = parts[index[0]]
        shape = tuple(span.stop - span.start for span in index[1:])
        filled = np.empty((len(chosen), *shape), dtype)
        for position, part in enumerate(chosen):
            filled[position] = part.read(index[1:])
        return filled

    return Lazy((len(parts), *first.shape), dtype, read, first.origin, tuple(parts))


def transpose(lazy: Lazy, order: Sequence[int]) -> Lazy:
    """Axis k of the result is axis `order[k]` of `lazy`."""
    back = np.argsort(order).tolist()

    def read(index: Index) -> np.ndarray:
        return lazy.read(tuple(index[axis] for axis in back)).transpose(order)

    return Lazy(tuple(lazy.shape[axis] for axis in order), lazy.dtype, read, lazy.origin)


def permute_rows(lazy: Lazy, rows: np.ndarray) -> Lazy:
    """Row k of the result is row `rows[k]` of `lazy`."""
    every = slice(0, lazy.shape[0])

    def read(index: Index) -> np.ndarray:
        return lazy.read((every, *index[1:]))[rows[index[0]]]

    return Lazy(lazy.shape, lazy.dtype, read, lazy.origin)


def place(
    value: Lazy | np.ndarray | jax.Array, dtype: DTypeLike, sharding: jax.sharding.Sharding
) -> jax.Array:
    """Puts a tensor where it belongs; each host reads the pieces of its own devices, once.

    Virtual devices of a CPU that hold the same piece share its memory.

    Args:
      value: a `Lazy` or an array.
      dtype: of the result.
      sharding: of the result.
    """
    lazy = of_array(value).astype(dtype)
    known: dict[tuple[tuple[int, int], ...], np.ndarray] = {}
    devices: set[jax.Device] = sharding.device_set
    on_host = any(device.platform == 'cpu' for device in devices)

    def read(index: Index | None) -> np.ndarray:
        # Devices that hold the same piece ask for it one by one.
        assert index is not None  # it is for shardings that are opaque
        spans = tuple(span.indices(size)[:2] for span, size in zip(index, lazy.shape, strict=True))
        if spans not in known:
            piece = lazy.piece([slice(*span) for span in spans])
            # A CPU device goes on using what it is given, and that may be a view of a mapped file.
            known[spans] = aligned_copy(piece) if on_host else piece
        return known[spans]

    return jax.make_array_from_callback(lazy.shape, sharding, read, dtype=lazy.dtype)


_ALIGNMENT = 64
"""Bytes; a CPU device takes an array over as it is, without a copy, if it starts at a multiple."""


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A copy that the devices of a CPU can share."""
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
