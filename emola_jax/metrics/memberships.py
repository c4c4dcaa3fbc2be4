"""Which classes each sample labels and its answer names, under both scorings: small arrays.

Every answer is read once. Many answers are read by several processes, in parts, so that what is
held of a million answers is a bit a class.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from emola_jax.errors import UserError
from emola_jax.metrics import action_units, emotions, readers
from emola_jax.metrics.sample import Sample, Task

Members = Bool[np.ndarray, 'samples classes']
Classes = frozenset[int] | None
"""Labels 0..6, or FACS numbers, that one answer names; None for an unparsed one."""

_PART = 2048
_WORTH_PROCESSES = 16 * _PART
"""Answers from which on starting processes pays."""


@dataclass(frozen=True)
class Memberships:
    """One scoring of all samples.

    Attributes:
      labelled: whether a sample's label holds a class.
      predicted: whether its answer does.
      unparsed: whether nothing can be read in its answer.
    """

    labelled: Members
    predicted: Members
    unparsed: Bool[np.ndarray, 'samples']


def read(
    samples: Sequence[Sample],
    task: Task,
    classes: Sequence[int],
    *,
    reader: str,
    processes: int = 1,
) -> dict[str, Memberships]:
    """Reads all labels and answers: 'strict' and 'reference'.

    Args:
      samples: the answers.
      task: 'emotion' or 'au'.
      classes: what the columns are: labels 0..6, or FACS numbers.
      reader: the version of the strict reader.
      processes: that may read.

    Raises:
      UserError: a label is none.
    """
    read_part = functools.partial(_read_part, task=task, reader=reader)
    parts = [samples[i : i + _PART] for i in range(0, len(samples), _PART)]
    texts = ([sample.prediction for sample in part] for part in parts)
    found = {'strict': _Filled(len(samples), classes), 'reference': _Filled(len(samples), classes)}
    with _mapping(processes if len(samples) >= _WORTH_PROCESSES else 1) as mapped:
        for part, answers in zip(parts, mapped(read_part, texts), strict=True):
            for sample, (strict, reference, unparsed) in zip(part, answers, strict=True):
                ours, theirs = _labels(sample, task)
                found['strict'].add(ours, strict, unparsed=strict is None)
                found['reference'].add(theirs, reference, unparsed=unparsed)
    return {name: filled.memberships for name, filled in found.items()}


class _Filled:
    """Memberships that are filled row by row."""

    def __init__(self, rows: int, classes: Sequence[int]) -> None:
        self._column = {number: i for i, number in enumerate(classes)}
        shape = (rows, len(classes))
        self.memberships = Memberships(
            np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(rows, bool)
        )
        self._row = 0

    def add(self, labelled: Classes, predicted: Classes, *, unparsed: bool) -> None:
        for members, there in (
            (self.memberships.labelled, labelled),
            (self.memberships.predicted, predicted),
        ):
            for number in there or ():
                if number in self._column:
                    members[self._row, self._column[number]] = True
        self.memberships.unparsed[self._row] = unparsed
        self._row += 1


def _labels(sample: Sample, task: Task) -> tuple[Classes, Classes]:
    """What a label holds strictly, and as the released script reads it."""
    if task == 'au':
        return action_units.parse_label(sample.label), action_units.reference_label(sample.label)
    label = emotions.parse_label(sample.label)
    if label is None:
        raise UserError(f'sample {sample.id}: label {sample.label!r} is no emotion')
    return frozenset([label]), frozenset([label])


def _read_part(
    texts: Sequence[str], *, task: Task, reader: str
) -> list[tuple[Classes, Classes, bool]]:
    """What each text names strictly and by the released script, and whether that is unparsed."""
    strict = readers.named(reader)
    if task == 'emotion':
        both = [(strict.emotion(text), emotions.reference_emotion(text)) for text in texts]
        return [(_one(ours), _one(theirs), theirs is None) for ours, theirs in both]
    # What `reference` leaves unparsed was always counted by the first strict reader.
    first = readers.named(readers.FIRST)
    return [
        (strict.aus(text), action_units.reference_aus(text), first.aus(text) is None)
        for text in texts
    ]


def _one(label: int | None) -> Classes:
    return None if label is None else frozenset([label])


@contextlib.contextmanager
def _mapping(processes: int) -> Iterator[Callable]:
    """A `map` that keeps the order, over processes if there are several."""
    if processes == 1:
        yield map
        return
    # Not forked: the threads of jax may hold locks.
    with multiprocessing.get_context('spawn').Pool(processes) as pool:
        yield pool.imap
