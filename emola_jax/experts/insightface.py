"""InsightFace's 2d106det, read from an ONNX file that the user has: faces -> 106 points.

Its weights may not be handed on, so they are never fetched. Two ways to prepare a picture:

* `reference`: the whole picture resized to 192 x 192, BGR, divided by 255. So were the landmarks
  made that the authors of EmoLA released. The net expects neither, but whoever compares needs it.
* `insightface`: a square of 1.5 times the face's box, RGB, in the scale that the graph itself asks
  for. So does InsightFace.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Literal

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from emola_jax.errors import UserError
from emola_jax.experts.graph_net import Graph, GraphNet, normalises_itself
from emola_jax.experts.onnx import read_graph
from emola_jax.weights.trees import Params
from input_pipeline.landmarks import POINTS

Preprocessing = Literal['reference', 'insightface']

PREPROCESSINGS: tuple[Preprocessing, ...] = ('reference', 'insightface')

_BOX_SCALE = 1.5
_LARGEST_VALUE = 1 << 27
"""Numbers of one picture between two operators; 2d106det has 150,000."""
_MEAN, _STD = 127.5, 128.0
"""What InsightFace takes off and divides by where the graph doesn't."""


def reference_input(
    photo: UInt8[np.ndarray, 'H W 3'], size: int
) -> Float32[np.ndarray, '3 size size']:
    """The whole picture as the released landmarks were made: resized (bilinear), BGR, 0..1."""
    resized = cv2.resize(photo, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized[..., ::-1].transpose(2, 0, 1), np.float32) / 255


def insightface_input(
    photo: UInt8[np.ndarray, 'H W 3'], box: tuple[float, ...], size: int
) -> tuple[Float32[np.ndarray, '3 size size'], Float[np.ndarray, '2 3']]:
    """The face as InsightFace cuts it out: bilinear, black beyond the photo, RGB, 0..255.

    Args:
      photo: RGB.
      box: x0, y0, x1, y1 in pixels.
      size: pixels a side of the result.

    Returns:
      (pixels, matrix from the photo's pixel centres to those of the result).
    """
    x0, y0, x1, y1 = box
    scale = size / (max(x1 - x0, y1 - y0) * _BOX_SCALE)
    shift = size / 2 - scale * np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    face = cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=0.0)
    return np.ascontiguousarray(face.transpose(2, 0, 1), np.float32), matrix


@dataclasses.dataclass(frozen=True, eq=False)
class InsightFaceExpert:
    """2d106det with its weights.

    Attributes:
      graph: the net.
      params: its parameters.
    """

    graph: Graph
    params: Params

    @classmethod
    def load(cls, path: Path) -> InsightFaceExpert:
        """Reads an ONNX file.

        Raises:
          UserError: it cannot be read, or its output is not 212 numbers.
        """
        graph, params = read_graph(path)
        images = jax.ShapeDtypeStruct((1, 3, graph.size, graph.size), np.float32)
        try:
            program: Any = jax.make_jaxpr(GraphNet(graph).apply)({'params': params}, images)
            outputs = program.out_avals[0].shape[1]
        except Exception as error:  # an operator without what it needs, or of other shapes
            reason = ' '.join(str(error).split())[:300]
            raise UserError(f'{path}: its operators do not fit each other ({reason})') from None
        largest = max((math.prod(v.aval.shape) for e in program.eqns for v in e.outvars), default=0)
        if largest > _LARGEST_VALUE:
            raise UserError(
                f'{path}: a value of {largest} numbers; at most {_LARGEST_VALUE} are computed'
            )
        if outputs != 2 * POINTS:
            raise UserError(f'{path}: gives {outputs} numbers, expected {2 * POINTS} (106 points)')
        return cls(graph, params)

    def landmarks(
        self, images: Float[Array, 'B 3 size size'] | np.ndarray
    ) -> Float[Array, 'B 212']:
        """Raw output for prepared pictures: x0, y0, … in [-1, 1] over them; pure."""
        return _run(self.graph, self.params, images)

    def reference(self, photos: list[UInt8[np.ndarray, 'H W 3']]) -> Float32[np.ndarray, 'B 212']:
        """Landmarks as the released ones: over the whole picture, stretched to a square."""
        pixels = np.stack([reference_input(photo, self.graph.size) for photo in photos])
        return np.asarray(self.landmarks(pixels))

    def insightface(
        self, photos: list[UInt8[np.ndarray, 'H W 3']], boxes: list[tuple[float, ...]]
    ) -> Float32[np.ndarray, 'B 106 2']:
        """Points in pixels of each photo (edges at whole numbers), given the box of one face."""
        size = self.graph.size
        prepared = [insightface_input(p, box, size) for p, box in zip(photos, boxes, strict=True)]
        pixels = np.stack([one for one, _ in prepared])
        if not normalises_itself(self.graph):
            pixels = (pixels - _MEAN) / _STD
        raw = np.asarray(self.landmarks(pixels)).reshape(-1, POINTS, 2)
        places = (raw + 1) * (size // 2)
        matrices = np.stack([matrix for _, matrix in prepared])
        scales, shifts = matrices[:, 0, 0], matrices[:, :, 2]
        return np.asarray((places - shifts[:, None]) / scales[:, None, None] + 0.5, np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _run(graph: Graph, params: Params, images: Array) -> Array:
    """Compiled once a graph: a `Graph` is equal to itself alone."""
    return jnp.asarray(GraphNet(graph).apply({'params': params}, images))
