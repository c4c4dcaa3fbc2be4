"""Conversations into rows of a fixed shape: packed first-fit, or one a row and padded.

Either way a row carries S pictures and S landmark vectors beside its L tokens, S = 1 when unpacked.
"""

from __future__ import annotations

from collections.abc import Mapping

import grain
import numpy as np

PER_TOKEN = ('tokens', 'targets', 'loss_weights')
PER_SEGMENT = ('images', 'landmarks', 'record_index')

Element = dict[str, np.ndarray]


def pack(
    dataset: grain.IterDataset, *, length: int, segments: int, bins: int, seed: int
) -> grain.IterDataset:
    """Packs up to `segments` conversations into each row of `length` tokens, first fit.

    More bins waste fewer positions and mix epochs more.
    """
    packed = grain.experimental.FirstFitPackIterDataset(
        dataset,
        length_struct={
            **dict.fromkeys(PER_TOKEN, length),
            **dict.fromkeys(PER_SEGMENT, segments),
        },
        num_packing_bins=bins,
        seed=seed,
    )
    return packed.map(_rename)


def pad(element: Mapping[str, np.ndarray], *, length: int) -> Element:
    """One conversation as one row: padded at the end to `length` tokens.

    Raises:
      ValueError: it is longer than that (`selection` leaves such records out).
    """
    used = len(element['tokens'])
    if used > length:
        raise ValueError(f'a conversation of {used} tokens is longer than a row of {length}')
    row = {key: element[key] for key in PER_SEGMENT}
    row |= {key: np.pad(element[key], (0, length - used)) for key in PER_TOKEN}
    inside = np.arange(length) < used
    row['positions'] = np.where(inside, np.arange(length), 0).astype(np.int32)
    row['segment_ids'] = inside.astype(np.int32)
    return row


def _rename(packed: Mapping[str, np.ndarray]) -> Element:
    row = {key: packed[key] for key in (*PER_TOKEN, *PER_SEGMENT)}
    row['positions'] = packed['tokens_positions'].astype(np.int32)
    row['segment_ids'] = packed['tokens_segment_ids'].astype(np.int32)
    # An empty place in a row must not read as record 0.
    row['record_index'] = np.where(packed['record_index_segment_ids'] > 0, row['record_index'], -1)
    return row
