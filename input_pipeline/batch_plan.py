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

from emola_jax.errors import UserError

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
      rows: the conversations of each row; the first has some, rows that fill a batch up have none.
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
      epochs_apart: end every epoch with a batch of the records that are left, filled up with empty
        rows; False lets batches run on from one epoch into the next, so that all are full.
    """

    indices: Int64[np.ndarray, 'n']
    lengths: Int64[np.ndarray, 'n']
    batch_size: int
    length: int
    segments: int
    bins: int
    buckets: tuple[int, ...]
    seed: int
    epochs_apart: bool = False

    def __post_init__(self) -> None:
        if not len(self.indices):
            raise UserError('the train split holds no usable record; expected at least one')

    def fingerprint(self) -> str:
        """Changes whenever the plan does."""
        settings = [self.batch_size, self.length, self.segments, self.bins, self.seed]
        settings += [True] if self.epochs_apart else []
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
        choices = sorted({*self.buckets, self.length})
        for places in self._stretches():
            rows = self._rows(places, tokens)
            while batch := tuple(itertools.islice(rows, self.batch_size)):
                longest = max(sum(tokens[place.record] for place in row) for row in batch)
                fits = choices[bisect.bisect_left(choices, longest)]
                empty: tuple[Row, ...] = ((),) * (self.batch_size - len(batch))
                yield PlannedBatch(batch + empty, fits if self.buckets else self.length)

    def steps(self, epochs: int) -> int:
        """Batches in which every record stands `epochs` times.

        With `epochs_apart` each epoch's partial batch counts; else the last one is left out if it
        is not full.
        """
        tokens = dict(zip(self.indices.tolist(), self.lengths.tolist(), strict=True))
        count = len(self.indices)
        stretches, turns = (epochs, count) if self.epochs_apart else (1, epochs * count)
        steps, places = 0, self.places()
        for _ in range(stretches):
            if self.segments > 1:
                rows = sum(1 for _ in self._rows(itertools.islice(places, turns), tokens))
            else:
                rows = turns
            steps += -(-rows // self.batch_size) if self.epochs_apart else rows // self.batch_size
        return steps

    def _stretches(self) -> Iterator[Iterator[Place]]:
        """Places that share batches: one epoch after the other, or all of them."""
        places = self.places()
        if not self.epochs_apart:
            yield places
        while True:
            yield itertools.islice(places, len(self.indices))

    def _rows(self, places: Iterator[Place], tokens: dict[int, int]) -> Iterator[Row]:
        if self.segments > 1:
            return self._packed(places, tokens)
        return ((place,) for place in places)

    def _packed(self, places: Iterator[Place], tokens: dict[int, int]) -> Iterator[Row]:
        """First fit: each conversation into the first row with room; without one the oldest goes.

        An empty one takes its place at the end, so no conversation waits for long. Where the places
        end, the open rows follow.
        """
        rows: list[list[Place]] = [[] for _ in range(self.bins)]
        used = [0] * self.bins
        for place in places:
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
        yield from (tuple(row) for row in rows if row)


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
        """Starts again."""
        self.plan = state['plan']
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[PlannedBatch] = []
        self._source = self.plan.batches()
