"""Weights of BlazeFace and FaceMesh from their TensorFlow Lite files.

A .tflite file is a FlatBuffer. Only its constant tensors are wanted, and these are a table of four
fields away from the file's root, so they are read here and no package that brings TensorFlow's
schema is needed. Layout: tensorflow/compiler/mlir/lite/schema/schema.fbs and the FlatBuffers
"internals" page.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from emola_jax.errors import UserError
from emola_jax.experts.blaze_face import SHORT_RANGE, BlazeFace
from emola_jax.experts.face_mesh import MESH_468, FaceMesh
from emola_jax.weights import lazy
from emola_jax.weights.rules import Rule, to_ours
from emola_jax.weights.trees import Params

_IDENTIFIER = b'TFL3'
_LONGEST_NAME = 1000  # bytes
# Field numbers of the schema.
_MODEL_SUBGRAPHS, _MODEL_BUFFERS = 2, 4
_SUBGRAPH_TENSORS = 0
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME = range(4)
_BUFFER_DATA = 0
# The schema's TensorType.
_DTYPES = {0: '<f4', 1: '<f2', 2: '<i4'}

# How far the skip's channels are padded, which follows from the blocks' widths.
_NOT_WEIGHTS = (r'channel_padding(_\d+)?/Paddings',)


def read_blaze_face(path: Path) -> Params:
    """Parameters of `BlazeFace(SHORT_RANGE)`: nested dict of np.float32.

    Raises:
      UserError: no TensorFlow Lite file, or tensors that are missing, left over or of another shape
        (all of them are named).
    """
    return _read(path, _blaze_face_rules(), BlazeFace(), SHORT_RANGE.size)


def read_face_mesh(path: Path) -> Params:
    """Parameters of `FaceMesh(MESH_468)`; as `read_blaze_face`."""
    return _read(path, _face_mesh_rules(), FaceMesh(), MESH_468.size)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every constant tensor of a TensorFlow Lite file, by name, as it is stored.

    Raises:
      UserError: the file is not there, is no TensorFlow Lite file, is cut short, or stores a tensor
        in another type than float32, float16 and int32.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f'{path}: cannot be read ({error.strerror}); expected a .tflite file'
        ) from None
    if content[4:8] != _IDENTIFIER:
        raise UserError(f'{path}: not a TensorFlow Lite file')
    try:
        return _constants(memoryview(content))
    except Exception as error:  # offsets that lead anywhere
        raise UserError(f'{path}: damaged TensorFlow Lite file ({error!s:.200})') from None


def _constants(content: memoryview) -> dict[str, np.ndarray]:
    model = _Table(content, struct.unpack_from('<I', content, 0)[0])
    buffers = [table.bytes(_BUFFER_DATA) for table in model.tables(_MODEL_BUFFERS)]
    (graph,) = model.tables(_MODEL_SUBGRAPHS)
    found = {}
    for tensor in graph.tables(_SUBGRAPH_TENSORS):
        data = buffers[tensor.scalar(_TENSOR_BUFFER, '<I')]
        if not data:
            continue  # computed when the net runs
        name = _name(tensor.bytes(_TENSOR_NAME))
        kind = tensor.scalar(_TENSOR_TYPE, '<b')
        if kind not in _DTYPES:
            raise ValueError(f'tensor {name} has type {kind}, expected one of {sorted(_DTYPES)}')
        shape = np.frombuffer(tensor.bytes(_TENSOR_SHAPE, 4), '<i4')
        found[name] = np.frombuffer(data, _DTYPES[kind]).reshape(shape)
    return found


def _name(text: memoryview) -> str:
    if len(text) > _LONGEST_NAME:
        raise ValueError(f'a tensor has a name of {len(text)} bytes')
    return str(text, 'utf-8')


@dataclasses.dataclass(frozen=True)
class _Table:
    """A FlatBuffers table: its first word leads back to the list of its fields' offsets.

    Nothing is copied: any number of tables may share the same bytes of a file.
    """

    content: memoryview
    start: int

    def scalar(self, field: int, kind: str) -> int:
        """An integer field; 0, the schema's default, where it is left out."""
        at = self._field(field)
        return struct.unpack_from(kind, self.content, at)[0] if at else 0

    def bytes(self, field: int, item_size: int = 1) -> memoryview:
        """A vector of plain values or a string; empty where it is left out."""
        start, length = self._vector(field)
        end = start + length * item_size
        if end > len(self.content):
            raise ValueError('it is cut short')
        return self.content[start:end]

    def tables(self, field: int) -> list[_Table]:
        """A vector of tables."""
        start, length = self._vector(field)
        places = range(start, start + 4 * length, 4)
        return [_Table(self.content, _follow(self.content, place)) for place in places]

    def _field(self, field: int) -> int:
        fields = self.start - struct.unpack_from('<i', self.content, self.start)[0]
        place = 4 + 2 * field
        if place >= struct.unpack_from('<H', self.content, fields)[0]:
            return 0
        offset = struct.unpack_from('<H', self.content, fields + place)[0]
        return self.start + offset if offset else 0

    def _vector(self, field: int) -> tuple[int, int]:
        at = self._field(field)
        if not at:
            return 0, 0
        start = _follow(self.content, at)
        return start + 4, struct.unpack_from('<I', self.content, start)[0]


def _follow(content: memoryview, at: int) -> int:
    return at + struct.unpack_from('<I', content, at)[0]


def _read(path: Path, rules: Sequence[Rule], module: nn.Module, size: int) -> Params:
    tensors = {name: lazy.of_array(value) for name, value in read_tensors(path).items()}
    params, faults = to_ours(rules, tensors, _shapes(module, size), _NOT_WEIGHTS)
    if faults:
        raise UserError(
            f'{path}: tensors do not fit {type(module).__name__}:\n  ' + '\n  '.join(faults)
        )
    return unflatten_dict(
        {key: np.ascontiguousarray(value.whole(), np.float32) for key, value in params.items()}
    )


def _shapes(module: nn.Module, size: int) -> Mapping[tuple[str, ...], jax.ShapeDtypeStruct]:
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    return flatten_dict(nn.unbox(variables['params']))


def _blaze_face_rules() -> list[Rule]:
    rules = _conv('conv2d', 'stem')
    for number in range(len(SHORT_RANGE.blocks)):
        rules += _block(number, number + 1, (f'block_{number}',))
    for number, stride in enumerate((8, 16)):
        rules += _conv(f'classificator_{stride}', f'score_{number}')
        rules += _conv(f'regressor_{stride}', f'box_{number}')
    return rules


def _face_mesh_rules() -> list[Rule]:
    # Keras numbers layers by kind in the order of their making: the numbers that are skipped here
    # belonged to heads that the released net no longer has.
    rules = [*_conv('conv2d', 'stem'), _slope(0, 'stem_act')]
    for number in range(len(MESH_468.trunk)):
        rules += _mesh_block(number, number + 1, number + 1, f'block_{number}')
    for number in range(3):
        rules += _mesh_block(number + 14, number + 15, number + 15, 'points', f'block_{number}')
    rules += [*_conv('conv2d_18', 'points', 'neck'), _slope(18, 'points', 'neck_act')]
    rules += _mesh_block(17, 19, 19, 'points', 'last_block')
    rules += _conv('conv2d_20', 'points', 'out')
    rules += _mesh_block(22, 27, 25, 'presence', 'block_0')
    rules += [*_conv('conv2d_28', 'presence', 'neck'), _slope(26, 'presence', 'neck_act')]
    rules += _mesh_block(23, 29, 27, 'presence', 'last_block')
    return rules + _conv('conv2d_30', 'presence', 'out')


def _mesh_block(depthwise: int, pointwise: int, slope: int, *path: str) -> list[Rule]:
    return [*_block(depthwise, pointwise, path), _slope(slope, *path, 'act')]


def _block(depthwise: int, pointwise: int, path: tuple[str, ...]) -> list[Rule]:
    theirs = _numbered('depthwise_conv2d', depthwise)
    return [
        Rule(f'{theirs}/Kernel', (*path, 'depthwise', 'kernel')),
        Rule(f'{theirs}/Bias', (*path, 'depthwise', 'bias')),
        *_conv(_numbered('conv2d', pointwise), *path, 'pointwise'),
    ]


def _conv(theirs: str, *path: str) -> list[Rule]:
    return [
        Rule(f'{theirs}/Kernel', (*path, 'kernel'), 'filter'),
        Rule(f'{theirs}/Bias', (*path, 'bias')),
    ]


def _slope(number: int, *path: str) -> Rule:
    return Rule(f'{_numbered("p_re_lu", number)}/Alpha', (*path, 'alpha'))


def _numbered(kind: str, number: int) -> str:
    return f'{kind}_{number}' if number else kind
