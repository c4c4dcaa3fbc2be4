"""Evaluation batches: prompts of one task, padded on the left to one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from input_pipeline.conversation import prompt_tokens
from input_pipeline.landmarks import POINTS
from input_pipeline.pipeline import Encoder, fixed_rng
from input_pipeline.records import Record

_SMALLEST_STEP = 8


def prompt_length(record: Record, encoder: Encoder) -> int:
    """Tokens of the record's prompt, the visual ones included."""
    return len(_prompt(record, encoder))


def bucket(length: int) -> int:
    """The length that prompts of `length` tokens are padded to: the next of a few.

    Eight lengths in each octave (…, 512, 576, 640, …, 1024, 1152, …), never closer than 8 tokens:
    few shapes are compiled, and a long prompt grows by an eighth at most.
    """
    step = max(_SMALLEST_STEP, 2 ** (max(length - 1, 1).bit_length() - 4))
    return -(-length // step) * step


def prompt_batch(
    records: Sequence[Record | None], encoder: Encoder, *, length: int
) -> dict[str, np.ndarray]:
    """A batch without answers, one record a row; None gives a row of nothing but padding.

    Landmark noise depends on the record alone, so a prompt is the same in every run.

    Returns:
      images u8[B, 1, H, W, 3], landmarks f32[B, 1, 212], tokens, positions and segment_ids
      i32[B, length]; segment_ids is 0 on padding, which stands at the left.
    """
    rows, size = len(records), encoder.config.image_size
    batch: dict[str, np.ndarray] = {
        'images': np.zeros((rows, 1, size, size, 3), np.uint8),
        'landmarks': np.zeros((rows, 1, 2 * POINTS), np.float32),
        'tokens': np.zeros((rows, length), np.int32),
        'positions': np.zeros((rows, length), np.int32),
        'segment_ids': np.zeros((rows, length), np.int32),
    }
    for row, record in enumerate(records):
        if record is None:
            continue
        prompt = _prompt(record, encoder)
        start = length - len(prompt)
        batch['images'][row, 0] = encoder.pixels(record)
        batch['landmarks'][row, 0] = encoder.landmarks(record, fixed_rng(record.id))
        batch['tokens'][row, start:] = prompt
        batch['positions'][row, start:] = np.arange(len(prompt))
        batch['segment_ids'][row, start:] = 1
    return batch


def _prompt(record: Record, encoder: Encoder) -> list[int]:
    return prompt_tokens(
        encoder.tokenizer,
        encoder.template,
        record.instruction,
        encoder.config.visual_tokens,
    )
