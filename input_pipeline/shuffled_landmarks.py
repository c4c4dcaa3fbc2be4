"""Whose landmarks a record is shown where it is not to see its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from input_pipeline.records import TASKS, RecordSource


def deal(tasks: Sequence[str], seed: int) -> Int64[np.ndarray, 'n']:
    """For each record the place of the one whose landmarks it gets, at random.

    Landmarks go round in one cycle within each task, so that a face that is asked for both tasks
    doesn't get its own from the other question. The only record of its task gets those of any other
    record; the only record of all keeps its own.

    Args:
      tasks: of each record, some of `TASKS`.
      seed: of the deal.
    """
    givers = np.arange(len(tasks))
    for task in TASKS:
        places = np.flatnonzero([other == task for other in tasks])
        order = np.random.default_rng(seed).permutation(places)
        givers[order] = np.roll(order, 1)
    for place in np.flatnonzero(givers == np.arange(len(tasks))):
        givers[place] = (place + 1) % len(tasks)
    return givers


def givers(source: RecordSource, indices: np.ndarray, seed: int) -> dict[int, int]:
    """Record -> the record whose landmarks it gets, both by their index in `source`."""
    tasks = [source[int(index)].task for index in indices]
    dealt = np.asarray(indices)[deal(tasks, seed)]
    return dict(zip(map(int, indices), map(int, dealt), strict=True))
