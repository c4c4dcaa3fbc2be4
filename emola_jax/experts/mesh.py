"""BlazeFace and FaceMesh as one expert: pictures -> faces -> 106 points, all of it jittable."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from emola_jax.experts.blaze_face import SHORT_RANGE, BlazeFace
from emola_jax.experts.detection import Detections, decode, suppress
from emola_jax.experts.face_mesh import MESH_468, FaceMesh
from emola_jax.experts.mesh_subset import MESH_EYE_CORNERS, select_points
from emola_jax.experts.region import Region, place_points, region_around, region_of, sample
from emola_jax.parallel import cpu_compiler
from emola_jax.parallel.cpu_threads import SideBySide
from emola_jax.weights.trees import Params as Params

Rows = TypeVar('Rows')
Out = TypeVar('Out')

PASSES = 2
"""Times that FaceMesh looks: at the detected region, then at the region of the points it found."""

_CPU_PART = 1

_CPU_OPTIONS: cpu_compiler.Options = {
    # XLA asks LLVM for vectors of 256 bits where a CPU has wider ones, too.
    'xla_cpu_prefer_vector_width': 512,
    # YNNPACK would hand parts of each product to other cores, which have shares of their own.
    'xla_cpu_experimental_ynn_fusion_type': '',
    **cpu_compiler.KEEPS_BARRIERS,
}


def detect(params: Params, images: UInt8[Array, 'B 128 128 3'], faces: int) -> Detections:
    """Finds at most `faces` faces in each picture; positions are shares of its side."""
    pixels = images.astype(jnp.float32) / 127.5 - 1.0
    logits, raw = _apply(BlazeFace(parent=None), params['detector'], pixels)
    return suppress(*decode(logits, raw), faces)


def locate(
    params: Params, images: UInt8[Array, 'B H W 3'], region: Region, passes: int = PASSES
) -> tuple[Float[Array, 'B 468 2'], Float[Array, 'B']]:
    """The mesh of one face a picture.

    Args:
      params: {'detector': BlazeFace's parameters, 'mesh': FaceMesh's}.
      images: RGB.
      region: where the faces are, in pixels of `images`.
      passes: see `PASSES`.

    Returns:
      (points in pixels of `images`, probability that the region shows a face).
    """
    for _ in range(passes):
        points, presence = _look(params, sample(images, region, MESH_468.size), region)
        region = region_around(points, *MESH_EYE_CORNERS)
    return points, jax.nn.sigmoid(presence)


def _look(params: Params, pixels: Array, region: Region) -> tuple[Array, Array]:
    """FaceMesh on the pixels (0..255) of regions: points in the picture, logits of presence."""
    points, presence = _apply(FaceMesh(parent=None), params['mesh'], pixels / 255.0)
    # Its points are numbered by pixel centres: mirrored pictures give mirrored points only with the
    # half pixel added.
    return place_points((points[..., :2] + 0.5) / MESH_468.size, region), presence


def _apply(net: nn.Module, params: Params, pixels: Array) -> tuple[Array, Array]:
    # `net` has no parent: it may run inside a module that holds these parameters.
    one, other = cast(tuple[Array, Array], net.apply({'params': params}, pixels))
    return one, other


def landmarks_of_crops(
    params: Params, images: UInt8[Array, 'B S S 3'], passes: int = PASSES
) -> Float[Array, 'B 212']:
    """Landmarks of pictures that are known to show one face each; pure, row by row.

    Where no face is detected the whole picture is taken for one.

    Args:
      params: of the expert.
      images: RGB, square, of any size.
      passes: see `PASSES`.

    Returns:
      x0, y0, x1, y1, … in [-1, 1] over the picture (beyond it outside).

    Raises:
      ValueError: the pictures are not square.
    """
    batch, height, width, _ = images.shape
    if height != width:
        raise ValueError(f'pictures are {width} x {height}, expected squares')
    small = jax.image.resize(
        images.astype(jnp.float32), (batch, SHORT_RANGE.size, SHORT_RANGE.size, 3), 'linear'
    )
    found = detect(params, jnp.round(small).astype(jnp.uint8), faces=1)
    detected = region_of(found.boxes[:, 0] * width, found.keypoints[:, 0] * width)
    whole = Region(jnp.full((batch, 2), width / 2), jnp.full((batch,), width), jnp.zeros((batch,)))
    is_face = found.scores[:, 0] > 0
    region = jax.tree.map(
        lambda one, other: jnp.where(is_face.reshape(-1, *[1] * (one.ndim - 1)), one, other),
        detected,
        whole,
    )
    mesh, _ = locate(params, images, region, passes)
    return (select_points(mesh) * (2 / width) - 1).reshape(batch, -1)


def detect_jit(params: Params, images: UInt8[Array, 'B 128 128 3'], faces: int) -> Detections:
    """`detect`, compiled once a shape."""
    return _detector(faces)(params, images)


def locate_jit(
    params: Params, images: UInt8[Array, 'B H W 3'], region: Region, passes: int = PASSES
) -> tuple[Float[Array, 'B 106 2'], Float[Array, 'B']]:
    """The 106 points in pixels and the presence of a face, compiled once a shape."""
    return _locator(passes)(params, images, region)


@functools.cache
def _detector(faces: int) -> SideBySide[Detections]:
    def found(params: Params, images: Array) -> Detections:
        return _by_parts(lambda part: detect(params, part, faces), images)

    return SideBySide(_compiled(found))


@functools.cache
def _locator(passes: int) -> SideBySide[tuple[Array, Array]]:
    def located(params: Params, images: Array, region: Region) -> tuple[Array, Array]:
        def of_part(part: tuple[Array, Region]) -> tuple[Array, Array]:
            points, presence = locate(params, *part, passes)
            return select_points(points), presence

        return _by_parts(of_part, (images, region))

    return SideBySide(_compiled(located))


def _compiled(function: Callable[..., Out]) -> Callable[..., Out]:
    options = cpu_compiler.known(_CPU_OPTIONS) if jax.default_backend() == 'cpu' else None
    return cast(Callable[..., Out], jax.jit(function, compiler_options=options))


def _by_parts(function: Callable[[Rows], Out], rows: Rows) -> Out:
    """Applies a function of a batch, on CPU to a few rows at a time.

    Their maps then stay in a core's cache, and operations are too small for XLA to hand parts of
    them to other cores, which have shares of their own (`SideBySide`).
    """
    count = len(jax.tree.leaves(rows)[0])
    if jax.default_backend() != 'cpu' or count <= _CPU_PART:
        return function(rows)

    def split(leaf: Array) -> Array:
        filled = jnp.pad(leaf, ((0, -count % _CPU_PART), *[(0, 0)] * (leaf.ndim - 1)))
        return filled.reshape(-1, _CPU_PART, *leaf.shape[1:])

    mapped = jax.lax.map(function, jax.tree.map(split, rows))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count], mapped)
