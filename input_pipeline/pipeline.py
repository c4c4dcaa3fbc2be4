"""The grain graph: records -> conversations -> rows -> batches.

A batch is a dict of numpy arrays, S conversations a row (S = 1 unless packed), L tokens a row (the
configured length, or one of the length buckets):

    images       u8[B, S, H, W, 3]   square, padded; normalised on the device
    landmarks    f32[B, S, 212]      in [-1, 1]
    tokens       i32[B, L]           VISUAL_TOKEN where a patch or the prior token goes
    targets      i32[B, L]           the next token where the loss is, else 0
    loss_weights f32[B, L]           above 0 where the loss is, else 0
    positions    i32[B, L]           restarting at every conversation
    segment_ids  i32[B, L]           1.. per conversation, 0 = padding
    record_index i32[B, S]           index into the source, -1 = empty (kept on the host)
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import zlib
from collections.abc import Callable, Mapping

import grain
import numpy as np

from emola_jax.errors import UserError
from input_pipeline import dealing, packing
from input_pipeline.conversation import Conversation, Template, TextEncoder, conversation
from input_pipeline.images import square_pixels
from input_pipeline.landmarks import noisy_landmarks
from input_pipeline.records import Record, RecordSource


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """What turns records into batches.

    Attributes:
      batch_size: rows a step over all hosts.
      length: tokens a row, L.
      segments: conversations a row at most, S; 1 switches packing off.
      packing_bins: rows filled at the same time when packing.
      image_size: pixels a side.
      visual_tokens: visual positions a conversation: T patches and the prior tokens.
      landmark_noise: standard deviation of the detector-like noise put on the landmarks, as a
        share of the inter-ocular distance; 0 for landmarks that a detector made.
      label_weight: loss weight of the tokens that state an answer's label; 1 in the paper.
      seed: of shuffling, packing and noise.
      read_threads: threads that read and encode ahead.
      pad_to_square: pad pictures to a square; False cuts them, see `images.square_pixels`.
      length_buckets: row lengths below `length`, of which each batch takes the smallest that its
        longest conversation fits; for unpacked rows. Each is one more shape to compile.
      shuffle_landmarks: show each record the landmarks of another one, dealt by `seed`: the control
        of a model that reads its own.
    """

    batch_size: int
    length: int
    segments: int
    packing_bins: int
    image_size: int
    visual_tokens: int
    landmark_noise: float
    label_weight: float
    seed: int
    read_threads: int
    pad_to_square: bool = True
    length_buckets: tuple[int, ...] = ()
    shuffle_landmarks: bool = False

    def __post_init__(self) -> None:
        if not self.length_buckets:
            return
        if self.segments > 1:
            raise UserError(
                f'data.length_buckets are for unpacked rows, but data.segments is {self.segments}; '
                'use one or the other'
            )
        if min(self.length_buckets) < 1 or max(self.length_buckets) > self.length:
            raise UserError(
                f'data.length_buckets {list(self.length_buckets)} must lie between 1 and '
                f'data.length, {self.length}'
            )


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Record -> conversation with its picture and landmarks."""

    config: PipelineConfig
    tokenizer: TextEncoder
    template: Template

    def conversation(self, record: Record) -> Conversation:
        """The record's texts as tokens, targets and loss weights."""
        return conversation(
            self.tokenizer,
            self.template,
            record.instruction,
            record.response,
            self.config.visual_tokens,
            task=record.task,
            label_weight=self.config.label_weight,
        )

    def pixels(self, record: Record) -> np.ndarray:
        """The record's picture, u8[H, W, 3]."""
        return square_pixels(
            record.image,
            size=self.config.image_size,
            name=record.id,
            pad=self.config.pad_to_square,
        )

    def landmarks(self, record: Record, rng: np.random.Generator) -> np.ndarray:
        """The record's landmarks, f32[212], with the configured noise."""
        if not self.config.landmark_noise:
            return record.landmarks
        return noisy_landmarks(record.landmarks, rng, self.config.landmark_noise)


def fixed_rng(record_id: str) -> np.random.Generator:
    """A generator that depends on the record alone: evaluation's noise never changes."""
    return np.random.default_rng(zlib.crc32(record_id.encode('utf-8')))


def train_batches(
    source: RecordSource,
    indices: np.ndarray,
    encoder: Encoder,
    *,
    lengths: np.ndarray | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> grain.IterDataset:
    """An endless stream of shuffled batches over the records named by `indices`.

    Each host reads every `process_count`-th record of the same shuffled order. The iterator's state
    (`get_state`) restores it to the exact next batch.

    Args:
      source: all records.
      indices: which of them.
      encoder: record -> conversation, picture, landmarks.
      lengths: tokens of each of these records' conversations, for `length_buckets`; counted here
        where they are not given.
      process_index: this host.
      process_count: hosts.
    """
    config = encoder.config
    order = grain.MapDataset.source(np.asarray(indices, np.int64)).seed(config.seed)
    order = order.shuffle().repeat()
    share = config.batch_size // process_count
    givers = dealing.givers(source, indices, config.seed) if config.shuffle_landmarks else {}

    def encode(index: int, rng: np.random.Generator) -> packing.Element:
        record = source[int(index)]
        shown = source[givers[int(index)]] if givers else record
        talk = encoder.conversation(record)
        return {
            'tokens': talk.tokens,
            'targets': talk.targets,
            'loss_weights': talk.loss_weights,
            'images': encoder.pixels(record)[None],
            'landmarks': encoder.landmarks(shown, rng)[None].astype(np.float32),
            'record_index': np.asarray([index], np.int32),
        }

    encoded = order[process_index::process_count].random_map(encode)
    if config.length_buckets:
        if lengths is None:
            lengths = _count_tokens(source, indices, encoder)
        fit = _row_lengths(order, dict(zip(indices.tolist(), lengths, strict=True)), config)
        encoded = encoded.map_with_index(
            lambda place, element: packing.pad(element, length=fit(place // share))
        )
    rows = encoded.to_iter_dataset(
        grain.ReadOptions(
            num_threads=config.read_threads, prefetch_buffer_size=4 * max(config.read_threads, 1)
        )
    )
    if config.segments > 1:
        rows = packing.pack(
            rows,
            length=config.length,
            segments=config.segments,
            bins=config.packing_bins,
            seed=config.seed,
        )
    elif not config.length_buckets:
        rows = rows.map(lambda element: packing.pad(element, length=config.length))
    batches = rows.batch(share, drop_remainder=True)
    return grain.experimental.ThreadPrefetchIterDataset(batches, prefetch_buffer_size=2)


def _count_tokens(source: RecordSource, indices: np.ndarray, encoder: Encoder) -> np.ndarray:
    counts = [len(encoder.conversation(source[int(index)]).tokens) for index in indices]
    return np.asarray(counts, np.int64)


def _row_lengths(
    order: grain.MapDataset, lengths: Mapping[int, int], config: PipelineConfig
) -> Callable[[int], int]:
    """Number of a batch -> row length, which every host knows alike without a word between them."""
    choices = sorted({*config.length_buckets, config.length})

    @functools.lru_cache(maxsize=64)
    def row_length(batch: int) -> int:
        first = batch * config.batch_size
        places = range(first, first + config.batch_size)
        longest = max(lengths[int(order[place])] for place in places)
        return choices[bisect.bisect_left(choices, longest)]

    return row_length
