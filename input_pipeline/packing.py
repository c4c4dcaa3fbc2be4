"""Conversations into rows of a fixed shape: several, one behind the other, or one a row.

Either way a row carries S pictures and S landmark vectors beside its L tokens, S = 1 when unpacked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

PER_TOKEN = ('tokens', 'targets', 'loss_weights')

EMPTY = {'record_index': -1}
"""What stands in an empty place of a row, where it isn't 0: an index that is no record's."""

Element = dict[str, np.ndarray]


def join(
    conversations: Sequence[Mapping[str, np.ndarray]], *, length: int, segments: int
) -> Element:
    """One row of `length` tokens and `segments` places, the conversations first.

    Args:
      conversations: each with `PER_TOKEN` arrays of its tokens; whatever else they hold (a picture,
        landmarks, its record's index) is stacked, one a place.
      length: tokens of the row, L.
      segments: places of the row, S.

    Raises:
      ValueError: they are longer than the row together, or too many.
    """
    used = [len(talk['tokens']) for talk in conversations]
    if sum(used) > length or len(used) > segments:
        raise ValueError(
            f'{len(used)} conversations of {used} tokens do not fit a row of {length} tokens and '
            f'{segments} places'
        )
    row: Element = {}
    for name, example in conversations[0].items():
        parts = [talk[name] for talk in conversations]
        if name in PER_TOKEN:
            row[name] = np.pad(np.concatenate(parts), (0, length - sum(used)))
            continue
        empty = np.full_like(example, EMPTY.get(name, 0))
        row[name] = np.stack([*parts, *[empty] * (segments - len(parts))])
    padding = np.zeros(length - sum(used), np.int32)
    positions = [np.arange(count, dtype=np.int32) for count in used]
    numbers = [np.full(count, place + 1, np.int32) for place, count in enumerate(used)]
    row['positions'] = np.concatenate([*positions, padding])
    row['segment_ids'] = np.concatenate([*numbers, padding])
    return row


def blank(row: Element) -> Element:
    """A row of the same shapes that holds no conversation: padding only, and nothing to train."""
    return {name: np.full_like(leaf, EMPTY.get(name, 0)) for name, leaf in row.items()}
