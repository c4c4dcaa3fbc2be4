"""The sizes that both sides of a comparison build, by name, and batches of random content."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from configs import mini
from emola_jax.compile.flops import llm_parameters
from emola_jax.models.config import (
    LLAVA_1_5_7B,
    TINY,
    VISUAL_TOKEN,
    EmolaConfig,
    LlamaConfig,
    LoraConfig,
    VisionConfig,
)


@dataclasses.dataclass(frozen=True)
class Shapes:
    """What one step, or one answer, works on.

    Attributes:
      model: sizes and types.
      conversations: of a training step.
      length: tokens of each, the visual ones included.
      trained: of them, how many the loss is on: the last ones but one, which predicts nothing.
      segments: conversations that we pack in a row; the peer pads, and here needs no padding.
      prompt: tokens of a question, the visual ones included.
      new_tokens: of an answer.
      devices: that we split a batch over; on a CPU virtual ones.
      unroll: see `emola_jax.models.emola.unroll`.
    """

    model: EmolaConfig
    conversations: int
    length: int
    trained: int
    segments: int
    prompt: int
    new_tokens: int
    devices: int
    unroll: bool

    def with_dtype(self, dtype: str) -> Shapes:
        """Computing in `dtype`, the frozen weights stored in it."""
        return self.replace(model=self.model.replace(dtype=dtype, param_dtype=dtype))

    def replace(self, **changes: Any) -> Shapes:
        """A copy with other fields."""
        return dataclasses.replace(self, **changes)

    def parameters(self) -> int:
        """Numbers in all kernels of the language layers, the table and the head."""
        llm = self.model.llm
        return llm_parameters(llm) + llm.vocab * llm.width * (2 - llm.tied_embeddings)

    @property
    def matmul_size(self) -> int:
        """Side of the square matrices whose products are the limit that a step is held against."""
        return 8192 if self.parameters() > 1e9 else 1024

    def decoding_bytes(self, rows: int) -> float:
        """What one decoding step reads at least: all weights once, and the cache, half filled."""
        llm, size = self.model.llm, 2 if self.model.dtype == 'bfloat16' else 4
        weights = llm_parameters(llm) + llm.vocab * llm.width
        position = 2 * llm.layers * llm.kv_heads * llm.head_dim
        return size * (weights + rows * position * (self.prompt + self.new_tokens / 2))

    def describe(self) -> dict[str, Any]:
        """All fields as plain values."""
        return dataclasses.asdict(self)


_SMALL = Shapes(
    model=EmolaConfig(
        vision=VisionConfig(image_size=112, patch_size=14, width=192, layers=6, heads=3, mlp=768),
        llm=LlamaConfig(
            vocab=32000, width=256, layers=8, heads=4, kv_heads=4, head_dim=64, mlp=688
        ),
        lora=LoraConfig(rank=8, alpha=16.0, dropout=0.0),
    ),
    conversations=4,
    length=192,
    trained=96,
    segments=1,
    prompt=96,
    new_tokens=64,
    devices=1,
    unroll=True,
)

PRESETS: dict[str, Shapes] = {
    'tiny': _SMALL.replace(
        model=TINY, conversations=2, length=16, trained=4, prompt=8, new_tokens=4, devices=1
    ),
    'small': _SMALL,
    'smollm2': Shapes(
        model=EmolaConfig.from_config_dict(mini.get_config().model),
        conversations=8,
        length=80,
        trained=40,
        segments=4,
        prompt=64,
        new_tokens=64,
        devices=1,
        unroll=True,
    ),
    '7b': Shapes(
        model=LLAVA_1_5_7B.replace(lora=LoraConfig(dropout=0.0)),
        conversations=8,
        length=1024,
        trained=256,
        segments=1,
        prompt=704,
        new_tokens=256,
        devices=1,
        unroll=False,
    ),
}
"""'small' has the sizes that the project's CPU claims are stated for, 'smollm2' those of the
embedded default (`configs/mini.py`), '7b' those of the paper, for accelerators; 'tiny' is for
tests."""


def training_batch(shapes: Shapes, seed: int = 0) -> dict[str, np.ndarray]:
    """Conversations of random tokens, one a row; see `input_pipeline.pipeline` for the arrays."""
    cfg, rng = shapes.model, np.random.default_rng(seed)
    rows, length = shapes.conversations, shapes.length
    batch = _prompts(cfg, rows, length, rng)
    place = np.arange(length)
    here = (place >= length - 1 - shapes.trained) & (place < length - 1)
    batch['targets'] = np.where(here, np.roll(batch['tokens'], -1, axis=1), 0)
    batch['loss_weights'] = np.broadcast_to(here, (rows, length)).astype(np.float32)
    return batch


def packed(batch: dict[str, np.ndarray], segments: int) -> dict[str, np.ndarray]:
    """The same conversations, `segments` of them in a row."""
    found = {}
    for name, array in batch.items():
        if name in ('images', 'landmarks'):
            found[name] = array.reshape(-1, segments, *array.shape[2:])
        else:
            found[name] = array.reshape(-1, segments * array.shape[1])
    length = batch['tokens'].shape[1]
    own = np.repeat(np.arange(1, segments + 1, dtype=np.int32), length)
    found['segment_ids'] = np.broadcast_to(own, found['tokens'].shape).copy()
    return found


def prompts(shapes: Shapes, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Questions of one length."""
    return _prompts(shapes.model, rows, shapes.prompt, np.random.default_rng(seed))


def _prompts(
    cfg: EmolaConfig, rows: int, length: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    tokens = rng.integers(3, cfg.llm.vocab, (rows, length), dtype=np.int32)
    tokens[:, 1 : 1 + cfg.visual_tokens] = VISUAL_TOKEN
    batch = {
        'tokens': tokens,
        'positions': np.broadcast_to(np.arange(length, dtype=np.int32), (rows, length)).copy(),
        'segment_ids': np.ones((rows, length), np.int32),
    }
    if cfg.vision is not None:
        size = (rows, 1, cfg.vision.image_size, cfg.vision.image_size, 3)
        batch['images'] = rng.integers(0, 256, size, dtype=np.uint8)
    if cfg.prior.enabled:
        batch['landmarks'] = rng.uniform(-1, 1, (rows, 1, cfg.prior.inputs)).astype(np.float32)
    return batch
