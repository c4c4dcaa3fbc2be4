"""Evaluation batches: prompts of one task, padded on the left to one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from input_pipeline.conversation import prompt_tokens
from input_pipeline.pipeline import Encoder, fixed_rng
from input_pipeline.records import Record

LENGTH_MULTIPLE = 8
"""Prompt lengths are rounded up to this, so that few shapes are compiled."""


def prompt_length(records: Sequence[Record], encoder: Encoder) -> int:
    """The common length that prompts of `records` are padded to, in tokens."""
    longest = max(len(_prompt(record, encoder)) for record in records)
    return -(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE


def prompt_batch(
    records: Sequence[Record], encoder: Encoder, *, length: int, rows: int
) -> dict[str, np.ndarray]:
    """A batch without answers; the last batch is filled up with copies of its first record.

    Landmark noise depends on the record alone, so a prompt is the same in every run.

    Returns:
      images u8[rows, 1, H, W, 3], landmarks f32[rows, 1, 212], tokens, positions and segment_ids
      i32[rows, length]; segment_ids is 0 on the padding at the left.
    """
    filled = [*records, *[records[0]] * (rows - len(records))]
    tokens = np.zeros((rows, length), np.int32)
    segment_ids = np.zeros((rows, length), np.int32)
    positions = np.zeros((rows, length), np.int32)
    for row, record in enumerate(filled):
        prompt = _prompt(record, encoder)
        tokens[row, length - len(prompt) :] = prompt
        segment_ids[row, length - len(prompt) :] = 1
        positions[row, length - len(prompt) :] = np.arange(len(prompt))
    landmarks = [encoder.landmarks(record, fixed_rng(record.id)) for record in filled]
    return {
        'images': np.stack([encoder.pixels(record) for record in filled])[:, None],
        'landmarks': np.stack(landmarks).astype(np.float32)[:, None],
        'tokens': tokens,
        'positions': positions,
        'segment_ids': segment_ids,
    }


def _prompt(record: Record, encoder: Encoder) -> list[int]:
    return prompt_tokens(
        encoder.tokenizer,
        encoder.template,
        record.instruction,
        encoder.config.visual_tokens,
    )
