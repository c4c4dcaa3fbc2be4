"""A batch's shares on the cores of a CPU, each in a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import jax
import numpy as np

Out = TypeVar('Out')


class SideBySide(Generic[Out]):
    """A compiled function of a batch that runs shares of the rows at the same time.

    XLA on CPU spreads single operations over the cores. Those of the landmark nets are so small
    that handing them out costs as much as it saves; whole shares scale. Elsewhere than on CPU the
    function gets the whole batch.
    """

    def __init__(self, function: Callable[..., Out]) -> None:
        """`function(params, *rows)` must treat every row by itself."""
        self._function = function
        self._compiling = threading.Lock()
        self._compiled: set[Hashable] = set()
        self._threads: ThreadPoolExecutor | None = None

    def __call__(self, params: object, *rows: object) -> Out:
        """What the function gives for all rows, in their order.

        Args:
          params: handed on as they are.
          *rows: trees of arrays [B, …].

        Returns:
          The function's tree of arrays [B, …], NumPy's where the rows were dealt to several cores.
        """
        count = len(jax.tree.leaves(rows)[0])
        shares = most_shares(count, os.cpu_count() or 1)
        if jax.default_backend() != 'cpu' or shares == 1:
            return self._function(params, *rows)
        size = count // shares
        # NumPy's slices are views.
        host = jax.tree.map(np.asarray, rows)
        parts = [
            jax.tree.map(lambda leaf, at=at: leaf[at : at + size], host)
            for at in range(0, count, size)
        ]
        done = self._compile(params, parts[0])
        if self._threads is None:
            self._threads = ThreadPoolExecutor(shares, thread_name_prefix='landmarks')
        waiting = [self._threads.submit(self._run, params, part) for part in parts[len(done) :]]
        results = done + [one.result() for one in waiting]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *results)

    def _compile(self, params: object, part: Sequence[object]) -> list[Out]:
        """The first share's result if it was the first of its shape; else nothing is done.

        Threads that meet a new shape at the same time would all compile for it.
        """
        shape = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(part))
        with self._compiling:
            if shape in self._compiled:
                return []
            result = self._run(params, part)
            self._compiled.add(shape)
            return [result]

    def _run(self, params: object, part: Sequence[object]) -> Out:
        return jax.tree.map(np.asarray, self._function(params, *part))


def most_shares(rows: int, cores: int) -> int:
    """Into how many equal shares the rows are dealt: as many as divide them, at most `cores`."""
    return max(shares for shares in range(1, cores + 1) if rows % shares == 0)
