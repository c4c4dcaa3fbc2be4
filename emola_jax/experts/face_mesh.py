"""FaceMesh, MediaPipe's net of 468 points on a face (arXiv:1907.06724)."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emola_jax.experts.blaze_block import (
    BlazeBlock,
    Block,
    HalvingConv,
    PointwiseConv,
    Rectifier,
    WholeConv,
)


@dataclasses.dataclass(frozen=True)
class FaceMeshConfig:
    """Sizes.

    Attributes:
      size: pixels a side of the square input.
      stem: channels of the first convolution (3 x 3, stride 2).
      trunk: the blocks that both heads share.
      points_blocks, presence_blocks: the blocks of each head.
      neck: channels that each head is narrowed to.
      points: how many points come out.
    """

    size: int
    stem: int
    trunk: tuple[Block, ...]
    points_blocks: tuple[Block, ...]
    presence_blocks: tuple[Block, ...]
    neck: int
    points: int


MESH_468 = FaceMeshConfig(
    size=192,
    stem=16,
    trunk=(
        *(Block(16), Block(16)),
        *(Block(32, 2), Block(32), Block(32)),
        *(Block(64, 2), Block(64), Block(64)),
        *(Block(128, 2), Block(128), Block(128)),
        *(Block(128, 2), Block(128), Block(128)),
    ),
    points_blocks=(Block(128, 2), Block(128), Block(128)),
    presence_blocks=(Block(128, 2),),
    neck=32,
    points=468,
)


class FaceMesh(nn.Module):
    """Square pictures of one face each -> its points and whether there is a face."""

    cfg: FaceMeshConfig = MESH_468

    @nn.compact
    def __call__(
        self, images: Float[Array, 'B size size 3']
    ) -> tuple[Float[Array, 'B points 3'], Float[Array, 'B']]:
        """Runs the net; pixel values lie in [0, 1], RGB, eyes level.

        Returns:
          (x, y and depth of each point in input pixels, logit of the presence of a face).
        """
        cfg = self.cfg
        x = HalvingConv(cfg.stem, 3, name='stem')(images)
        x = Rectifier(learned_slope=True, name='stem_act')(x)
        for number, block in enumerate(cfg.trunk):
            x = BlazeBlock(block.features, block.stride, True, name=f'block_{number}')(x)
        points = _Head(cfg.points_blocks, cfg.neck, 3 * cfg.points, name='points')(x)
        presence = _Head(cfg.presence_blocks, cfg.neck, 1, name='presence')(x)
        return jnp.reshape(points, (len(images), cfg.points, 3)), presence[:, 0]


class _Head(nn.Module):
    """Blocks, a narrowing, one more block, then one product over the whole 3 x 3 map."""

    blocks: tuple[Block, ...]
    neck: int
    outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, 'B H W C']) -> Float[Array, 'B outputs']:
        for number, block in enumerate(self.blocks):
            x = BlazeBlock(block.features, block.stride, True, name=f'block_{number}')(x)
        x = PointwiseConv(self.neck, name='neck')(x)
        x = Rectifier(learned_slope=True, name='neck_act')(x)
        x = BlazeBlock(self.neck, 1, True, name='last_block')(x)
        return WholeConv(self.outputs, name='out')(x)
