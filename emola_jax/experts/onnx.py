"""Reads an ONNX file that the user has, such as InsightFace's 2d106det, as a `Graph` and weights.

The `onnx` package would bring 30 MB of compiled code for what is here one message format of five
kinds of fields; so the few messages that a graph consists of are read directly. Field numbers:
onnx/onnx.proto; encoding: the "Encoding" page of Protocol Buffers.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emola_jax.errors import UserError
from emola_jax.experts.graph_net import Graph, Node, Setting, unknown_operators

Message = dict[int, list[Any]]
"""Field number -> its values: int (varint), or the raw bytes of 4, 8 or any length."""

# TensorProto.DataType -> (type, the field that holds values which are not raw bytes).
_TYPES: dict[int, tuple[str, int]] = {
    1: ('<f4', 4),
    6: ('<i4', 5),
    7: ('<i8', 7),
    10: ('<f2', 5),
    11: ('<f8', 10),
}
_EXTERNAL = 1
_LARGEST_SIDE = 4096  # pixels
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7


def read_graph(path: Path) -> tuple[Graph, dict[str, np.ndarray]]:
    """Reads a net of one square RGB picture.

    Args:
      path: an ONNX file with its weights inside.

    Returns:
      (graph, parameters of `GraphNet(graph)`: name -> np.float32).

    Raises:
      UserError: no such file, no ONNX file, or a graph with operators that `GraphNet` does not have
        (all are named), with several inputs or outputs, with another input than f32[n, 3, S, S], or
        with weights of another type.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f'{path}: cannot be read ({error.strerror}); expected an ONNX file'
        ) from None
    try:
        (encoded,) = _message(content)[7]
        graph, weights = _graph(_message(encoded))
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    except Exception as error:  # a field of another kind than the format says
        raise UserError(f'{path}: not a readable ONNX file ({error!r:.200})') from None
    if unknown := unknown_operators(graph):
        raise UserError(f'{path}: operators that are not supported: {", ".join(unknown)}')
    return graph, weights


def _graph(message: Message) -> tuple[Graph, dict[str, np.ndarray]]:
    tensors = dict(_tensor(_message(encoded)) for encoded in message[5])
    nodes = []
    for encoded in message[1]:
        node = _node(_message(encoded))
        if node.op == 'Constant':
            tensors[node.outputs[0]] = _constant(node)
        else:
            nodes.append(node)
    given = [_message(encoded) for encoded in message[11]]
    inputs = [value for value in given if _text(value[1]) not in tensors]  # old files list weights
    outputs = [_text(_message(encoded)[1]) for encoded in message[12]]
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f'the graph has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each'
        )
    floats = {name: value for name, value in tensors.items() if value.dtype.kind == 'f'}
    graph = Graph(
        nodes=tuple(nodes),
        input=_text(inputs[0][1]),
        output=outputs[0],
        size=_size(inputs[0]),
        weights={name: value.shape for name, value in floats.items()},
        constants={name: value for name, value in tensors.items() if name not in floats},
    )
    _check_names(graph)
    return graph, {name: np.asarray(value, np.float32) for name, value in floats.items()}


def _check_names(graph: Graph) -> None:
    """Every value must be there when it is read: a graph that is not in order cannot run."""
    known = {'', graph.input, *graph.weights, *graph.constants}
    for node in graph.nodes:
        if missing := [name for name in node.inputs if name not in known]:
            raise UserError(f'operator {node.op} reads {", ".join(missing)}, which nothing gives')
        known.update(node.outputs)
    if graph.output not in known:
        raise UserError(f'nothing gives the output {graph.output}')


def _node(message: Message) -> Node:
    attributes = dict(_attribute(_message(encoded)) for encoded in message[5])
    texts = [tuple(value.decode() for value in message[field]) for field in (1, 2)]
    return Node(_text(message[4]), texts[0], texts[1], attributes)


def _attribute(message: Message) -> tuple[str, Setting]:
    name, kind = _text(message[1]), message[20][0]
    if kind == _FLOAT:
        return name, struct.unpack('<f', message[2][0])[0]
    if kind == _INT:
        return name, _signed(message[3][0])
    if kind == _STRING:
        return name, _text(message[4])
    if kind == _TENSOR:
        return name, _tensor(_message(message[5][0]))[1]
    if kind == _FLOATS:
        return name, _packed(message[7], '<f4').tolist()
    if kind == _INTS:
        return name, [_signed(value) for value in _varints(message[8])]
    raise UserError(f'attribute {name} is of kind {kind}, which is not supported')


def _constant(node: Node) -> np.ndarray:
    for name, dtype in (('value', None), ('value_float', '<f4'), ('value_floats', '<f4')):
        if name in node.attributes:
            return np.asarray(node.attributes[name], dtype)
    for name in ('value_int', 'value_ints'):
        if name in node.attributes:
            return np.asarray(node.attributes[name], np.int64)
    raise UserError(f'the constant {node.outputs[0]} has no value that is supported')


def _tensor(message: Message) -> tuple[str, np.ndarray]:
    name = _text(message[8]) if message[8] else ''
    kind = message[2][0]
    if kind not in _TYPES or message[14][:1] == [_EXTERNAL]:
        raise UserError(
            f'tensor {name} is of type {kind} or lies in another file; expected floats or integers '
            'in this one'
        )
    dtype, field = _TYPES[kind]
    shape = [_signed(size) for size in _varints(message[1])]
    if message[9]:
        values = np.frombuffer(message[9][0], dtype)
    elif field in (5, 7):
        integers = [_signed(value) for value in _varints(message[field])]
        # float16 is kept as the integers that have its bits.
        values = np.array(integers, '<u2').view(dtype) if kind == 10 else np.array(integers, dtype)
    else:
        values = _packed(message[field], dtype)
    return name, values.reshape(shape)


def _size(value: Message) -> int:
    """S of an input that is declared as f32[n, 3, S, S]."""
    tensor = _message(_message(value[2][0])[1][0])
    dims = [_message(encoded)[1] for encoded in _message(tensor[2][0])[1]]
    shape = [_signed(dim[0]) if dim else 0 for dim in dims]  # 0: named, not fixed
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or shape[2] < 1:
        raise UserError(f'the input has shape {shape} (0: any), expected [n, 3, S, S]')
    if shape[2] > _LARGEST_SIDE:
        raise UserError(f'the input has sides of {shape[2]}, expected {_LARGEST_SIDE} at most')
    return shape[2]


def _message(content: bytes) -> Message:
    found: Message = defaultdict(list)
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(content, at)
            found[field].append(value)
            continue
        if kind == 2:
            length, at = _varint(content, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f'field {field} has wire type {kind}')
        if at + length > len(content):
            raise ValueError('it is cut short')
        found[field].append(content[at : at + length])
        at += length
    return found


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError('an integer is too long')


def _varints(values: list[int | bytes]) -> Iterator[int]:
    """Repeated integers: one by one, or packed into one piece."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


def _packed(values: list[bytes], dtype: str) -> np.ndarray:
    return np.frombuffer(b''.join(values), dtype)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _text(values: list[bytes]) -> str:
    return str(values[0].decode())
