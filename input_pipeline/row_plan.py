"""Which conversation stands in which row of which batch, decided before anything is read.

The plan is a function of the records' lengths and the settings alone. So a run goes on from the
number of batches it has seen, on however many hosts and reading processes, and every host knows
what the others read without a word between them.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import itertools
import threading
from collections.abc import Iterator
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Int64

_VERSION = 1
"""Part of the fingerprint: raised whenever the code would plan otherwise."""


class Place(NamedTuple):
    """A record in the endless shuffled order.

    Attributes:
      record: its index in the source.
      turn: where in the order, from 0; what is drawn for it (noise) depends on that alone.
    """

    record: int
    turn: int


Row = tuple[Place, ...]


class PlannedBatch(NamedTuple):
    """One batch.

    Attributes:
      rows: the conversations of each row.
      length: tokens that every row is padded to.
    """

    rows: tuple[Row, ...]
    length: int


@dataclasses.dataclass(frozen=True)
class RowPlan:
    """The batches of a run, by number.

    Attributes:
      indices: the records that take part.
      lengths: tokens of each one's conversation.
      batch_size: rows of a batch over all hosts.
      length: tokens of a row.
      segments: conversations of a row at most; 1 switches packing off.
      bins: rows that are filled at the same time when packing: more waste fewer positions.
      buckets: shorter row lengths, for unpacked rows: a batch takes the smallest that it fits.
      seed: of the order.
    """

    indices: Int64[np.ndarray, 'n']
    lengths: Int64[np.ndarray, 'n']
    batch_size: int
    length: int
    segments: int
    bins: int
    buckets: tuple[int, ...]
    seed: int

    def fingerprint(self) -> str:
        """Changes whenever the plan does."""
        settings = [self.batch_size, self.length, self.segments, self.bins, self.seed]
        digest = hashlib.sha256(repr((_VERSION, settings, self.buckets)).encode())
        for numbers in (self.indices, self.lengths):
            digest.update(np.ascontiguousarray(numbers, np.int64).tobytes())
        return digest.hexdigest()[:16]

    def places(self) -> Iterator[Place]:
        """Every record once an epoch, in another order each time; without end."""
        order = grain.MapDataset.range(len(self.indices)).seed(self.seed).shuffle().repeat()
        for turn in itertools.count():
            yield Place(int(self.indices[order[turn]]), turn)

    def batches(self) -> Iterator[PlannedBatch]:
        """All batches in order, without end."""
        tokens = dict(zip(self.indices.tolist(), self.lengths.tolist(), strict=True))
        rows = self._packed(tokens) if self.segments > 1 else ((place,) for place in self.places())
        choices = sorted({*self.buckets, self.length})
        while True:
            batch = tuple(itertools.islice(rows, self.batch_size))
            longest = max(sum(tokens[place.record] for place in row) for row in batch)
            length = choices[bisect.bisect_left(choices, longest)] if self.buckets else self.length
            yield PlannedBatch(batch, length)

    def _packed(self, tokens: dict[int, int]) -> Iterator[Row]:
        """First fit: each conversation into the first row with room; without one the oldest goes.

        An empty one takes its place at the end, so no conversation waits for long.
        """
        rows: list[list[Place]] = [[] for _ in range(self.bins)]
        used = [0] * self.bins
        for place in self.places():
            need = tokens[place.record]
            fits = (
                number
                for number, row in enumerate(rows)
                if used[number] + need <= self.length and len(row) < self.segments
            )
            chosen = next(fits, None)
            if chosen is None:
                yield tuple(rows.pop(0))
                used.pop(0)
                rows.append([])
                used.append(0)
                chosen = self.bins - 1
            rows[chosen].append(place)
            used[chosen] += need


class PlannedBatches:
    """A plan's batches by number, for reading threads and processes, which ask out of order.

    Planning goes on from where it is and never back, so what was planned is kept; a copy in another
    process plans for itself.
    """

    def __init__(self, plan: RowPlan):
        """Plans nothing yet."""
        self.plan = plan
        self._start()

    def __getitem__(self, number: int) -> PlannedBatch:
        """The batch of that number, from 0."""
        with self._lock:
            while len(self._planned) <= number:
                self._planned.append(next(self._source))
            return self._planned[number]

    def __getstate__(self) -> dict[str, RowPlan]:
        """The plan alone."""
        return {'plan': self.plan}

    def __setstate__(self, state: dict[str, RowPlan]) -> None:
        """Starts anew."""
        self.plan = state['plan']
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[PlannedBatch] = []
        self._source = self.plan.batches()
