"""The grain graph: planned rows -> records -> conversations -> batches.

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

import dataclasses
import zlib
from collections.abc import Mapping, Sequence

import grain
import numpy as np

from emola_jax.errors import UserError
from input_pipeline import packing, shuffled_landmarks
from input_pipeline.batch_plan import Place, PlannedBatches, Row, RowPlan
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
      read_threads: threads that read and encode ahead, in each reading process.
      workers: processes that do so; 0 leaves it to threads of this one. The batches are the same.
      pad_to_square: pad pictures to a square; False cuts them, see `images.square_pixels`.
      length_buckets: row lengths below `length`, of which each batch takes the smallest that its
        longest conversation fits; for unpacked rows. Each is one more shape to compile.
      epochs_apart: see `RowPlan`.
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
    workers: int = 0
    pad_to_square: bool = True
    length_buckets: tuple[int, ...] = ()
    shuffle_landmarks: bool = False
    epochs_apart: bool = False

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


def plan_rows(
    source: RecordSource,
    indices: np.ndarray,
    encoder: Encoder,
    *,
    lengths: np.ndarray | None = None,
) -> RowPlan:
    """Which of the records named by `indices` stand in which batch.

    Args:
      source: all records.
      indices: which of them.
      encoder: record -> conversation.
      lengths: tokens of each of these records' conversations; counted here where not given.
    """
    config = encoder.config
    if lengths is None:
        counts = [len(encoder.conversation(source[int(index)]).tokens) for index in indices]
        lengths = np.asarray(counts, np.int64)
    return RowPlan(
        indices=np.asarray(indices, np.int64),
        lengths=lengths,
        batch_size=config.batch_size,
        length=config.length,
        segments=config.segments,
        bins=config.packing_bins,
        buckets=config.length_buckets,
        seed=config.seed,
        epochs_apart=config.epochs_apart,
    )


def train_batches(
    source: RecordSource,
    encoder: Encoder,
    plan: RowPlan,
    *,
    rows: Sequence[int] | None = None,
    first: int = 0,
) -> grain.IterDataset:
    """The planned batches from number `first` on, without end; of each, the rows named by `rows`.

    Args:
      source: all records.
      encoder: record -> conversation, picture, landmarks.
      plan: of `plan_rows`.
      rows: those that this host has to bring, in that order; None for all.
      first: batches that the run has seen.
    """
    config = encoder.config
    planned = PlannedBatches(plan)
    givers: dict[int, int] = {}
    if config.shuffle_landmarks:
        givers = shuffled_landmarks.givers(source, plan.indices, config.seed)

    def read(number: int) -> packing.Element:
        batch = planned[int(number)]

        def make(row: Row) -> packing.Element:
            if not row:
                return packing.blank(make(batch.rows[0]))
            return packing.join(
                [encode(source, place, encoder, givers) for place in row],
                length=batch.length,
                segments=config.segments,
            )

        wanted = batch.rows if rows is None else [batch.rows[row] for row in rows]
        made = [make(row) for row in wanted]
        return {name: np.stack([row[name] for row in made]) for name in made[0]}

    batches = (
        grain.MapDataset.range(first, _ENDLESS)
        .map(read)
        .to_iter_dataset(
            grain.ReadOptions(
                num_threads=config.read_threads,
                prefetch_buffer_size=2 * max(config.read_threads, 1),
            )
        )
    )
    if config.workers:
        return batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=config.workers))
    return grain.experimental.ThreadPrefetchIterDataset(batches, prefetch_buffer_size=2)


_ENDLESS = 2**40  # batches


def encode(
    source: RecordSource,
    place: Place,
    encoder: Encoder,
    givers: Mapping[int, int] | None = None,
) -> packing.Element:
    """One conversation with its picture and landmarks; its noise depends on its turn alone.

    `givers` names the record whose landmarks are shown, where it is another one.
    """
    record = source[place.record]
    shown = source[givers[place.record]] if givers else record
    talk = encoder.conversation(record)
    rng = np.random.default_rng([encoder.config.seed, place.turn])
    return {
        'tokens': talk.tokens,
        'targets': talk.targets,
        'loss_weights': talk.loss_weights,
        'images': encoder.pixels(record),
        'landmarks': encoder.landmarks(shown, rng).astype(np.float32),
        'record_index': np.asarray(place.record, np.int32),
    }
