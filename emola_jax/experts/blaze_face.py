"""BlazeFace, the short-range face detector of MediaPipe (arXiv:1907.05047)."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emola_jax.experts.blaze_block import BlazeBlock, Block, HalvingConv, PointwiseConv

KEYPOINTS = 6
"""Right eye, left eye (the subject's), nose tip, mouth, right ear, left ear."""

COORDINATES = 4 + 2 * KEYPOINTS
"""Centre x, y, width, height, then x, y of each key point; pixels relative to the anchor."""


@dataclasses.dataclass(frozen=True)
class BlazeFaceConfig:
    """Sizes.

    Attributes:
      size: pixels a side of the square input.
      stem: channels of the first convolution (5 x 5, stride 2).
      blocks: the residual blocks.
      heads: (number of blocks before it, anchors a cell) of each pair of score and box heads.
    """

    size: int
    stem: int
    blocks: tuple[Block, ...]
    heads: tuple[tuple[int, int], ...]


SHORT_RANGE = BlazeFaceConfig(
    size=128,
    stem=24,
    blocks=(
        *(Block(24), Block(28), Block(32, 2), Block(36), Block(42)),
        *(Block(48, 2), Block(56), Block(64), Block(72), Block(80), Block(88)),
        *(Block(96, 2), Block(96), Block(96), Block(96), Block(96)),
    ),
    heads=((11, 2), (16, 6)),
)


class BlazeFace(nn.Module):
    """Square pictures -> raw scores and boxes at every anchor."""

    cfg: BlazeFaceConfig = SHORT_RANGE

    @nn.compact
    def __call__(
        self, images: Float[Array, 'B size size 3']
    ) -> tuple[Float[Array, 'B anchors'], Float[Array, 'B anchors 16']]:
        """Runs the net; pixel values lie in [-1, 1], RGB.

        Returns:
          (score logits, `COORDINATES` of each anchor), anchors in the order of
          `emola_jax.experts.detection.anchor_centres`.
        """
        x = nn.relu(HalvingConv(self.cfg.stem, 5, name='stem')(images))
        maps = [x]
        for number, block in enumerate(self.cfg.blocks):
            maps.append(BlazeBlock(block.features, block.stride, name=f'block_{number}')(maps[-1]))
        scores, boxes = [], []
        for number, (depth, anchors) in enumerate(self.cfg.heads):
            score = PointwiseConv(anchors, name=f'score_{number}')(maps[depth])
            box = PointwiseConv(anchors * COORDINATES, name=f'box_{number}')(maps[depth])
            scores.append(score.reshape(len(images), -1))
            boxes.append(box.reshape(len(images), -1, COORDINATES))
        return jnp.concatenate(scores, axis=1), jnp.concatenate(boxes, axis=1)
