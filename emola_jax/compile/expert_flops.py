"""Matrix products of the landmark expert, counted by hand; docs/flops.md derives them."""

from __future__ import annotations

from collections.abc import Iterable

from emola_jax.experts.blaze_block import Block
from emola_jax.experts.blaze_face import COORDINATES, SHORT_RANGE, BlazeFaceConfig
from emola_jax.experts.face_mesh import MESH_468, FaceMeshConfig
from emola_jax.experts.mesh import PASSES


def expert_flops(side: int) -> int:
    """Operations of `mesh.landmarks_of_crops` on one image: one detection, `PASSES` meshes.

    Depthwise convolutions are elementwise here, and count no more than norms do elsewhere; that the
    detector's small image is made by two products, does.

    Args:
      side: of the image, in pixels.
    """
    small = SHORT_RANGE.size
    resize = 3 * small * side * (side + small) if side != small else 0
    return 2 * (resize + _detector(SHORT_RANGE) + PASSES * _mesh(MESH_468))


def _detector(net: BlazeFaceConfig) -> int:
    side, channels = net.size // 2, net.stem
    total = _stem(side, 5, channels)
    for depth, anchors in net.heads:
        _, at, width = _run(net.blocks[:depth], side, channels)
        total += at**2 * width * anchors * (1 + COORDINATES)
    return total + _run(net.blocks, side, channels)[0]


def _mesh(net: FaceMeshConfig) -> int:
    side, channels = net.size // 2, net.stem
    total = _stem(side, 3, channels)
    trunk, side, channels = _run(net.trunk, side, channels)
    total += trunk
    for blocks, outputs in ((net.points_blocks, 3 * net.points), (net.presence_blocks, 1)):
        head, at, width = _run(blocks, side, channels)
        total += head + at**2 * (width * net.neck + net.neck**2 + net.neck * outputs)
    return total


def _stem(side: int, kernel: int, channels: int) -> int:
    """One product of rows of cells of 2 x 2 pixels, `kernel` columns at a time (`HalvingConv`)."""
    reach = (kernel + 1) // 2
    return (side + reach - 1) * side * 2 * kernel * 3 * reach * channels


def _run(blocks: Iterable[Block], side: int, channels: int) -> tuple[int, int, int]:
    """(multiplications of the pointwise products, side and channels behind the blocks)."""
    total = 0
    for features, stride in blocks:
        side //= stride
        total += side**2 * channels * features
        channels = features
    return total, side, channels
