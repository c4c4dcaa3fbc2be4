"""A net that is given as a list of operators (an ONNX graph) as a Flax module.

The operators are those of InsightFace's 2d106det and of nets like it; their meaning is that of the
ONNX operator specification. Arrays are channels first, as there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Setting = float | str | list[float] | list[int] | np.ndarray
"""Value of an attribute, as ONNX has them."""
Attributes = Mapping[str, Any]
"""Settings of an operator by name; each operator knows the kinds of its own."""
Sizes = Sequence[int]
Padding = list[tuple[int, int]]
Inputs = list[Any]
"""The arrays that an operator reads; None where an optional one is left out."""


@dataclasses.dataclass(frozen=True)
class Node:
    """One operator: what it is called, what it reads and writes, how it is set."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A net.

    Attributes:
      nodes: in an order in which they can run.
      input: name of the one input.
      output: name of the one output.
      size: pixels a side of the square input.
      weights: name -> shape of every float tensor; these are the module's parameters.
      constants: name -> integers, such as the shape that a Reshape is given.
    """

    nodes: tuple[Node, ...]
    input: str
    output: str
    size: int
    weights: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, np.ndarray]


def unknown_operators(graph: Graph) -> list[str]:
    """The operators of a graph that `GraphNet` cannot run, sorted."""
    return sorted({node.op for node in graph.nodes} - set(_OPERATORS))


def normalises_itself(graph: Graph) -> bool:
    """Whether the graph shifts and scales the pixels before its first convolution.

    Such a net takes 0..255 as it is; InsightFace gives the others (pixel - 127.5) / 128.
    """
    before = []
    for node in graph.nodes:
        if node.op in ('Conv', 'Gemm', 'MatMul'):
            break
        before.append(node.op)
    return 'BatchNormalization' in before or ('Sub' in before and 'Mul' in before)


class GraphNet(nn.Module):
    """Runs a graph; its parameters are the graph's weights under the names that they have there."""

    graph: Graph

    @nn.compact
    def __call__(self, images: Float[Array, 'B 3 size size']) -> Float[Array, 'B outputs']:
        """Runs every operator in order, in float32."""
        graph = self.graph
        zeros = nn.with_logical_partitioning
        values: dict[str, Any] = dict(graph.constants)
        for name, shape in graph.weights.items():
            axes = (None,) * len(shape)
            init = zeros(nn.initializers.zeros, axes)
            values[name] = self.param(name, init, shape, jnp.float32)
        values[graph.input] = images
        for node in graph.nodes:
            inputs = [values[name] if name else None for name in node.inputs]
            values[node.outputs[0]] = _OPERATORS[node.op](inputs, node.attributes)
        return jnp.reshape(values[graph.output], (len(images), -1))


def _conv(inputs: Inputs, attributes: Attributes) -> Array:
    x, kernel = inputs[:2]
    sizes = kernel.shape[2:]
    strides = attributes.get('strides', [1] * len(sizes))
    dilations = attributes.get('dilations', [1] * len(sizes))
    groups = attributes.get('group', 1)
    padding = _padding(x.shape[2:], sizes, strides, dilations, attributes)
    if groups == x.shape[1] == kernel.shape[0] and len(sizes) == 2:
        y = _depthwise(x, kernel[:, 0], strides, dilations, padding)
    else:
        y = jax.lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            rhs_dilation=dilations,
            feature_group_count=groups,
            precision=jax.lax.Precision.HIGHEST,
        )
    return y if len(inputs) < 3 else y + _channels(inputs[2], y)


def _depthwise(
    x: Array, kernel: Array, strides: Sizes, dilations: Sizes, padding: Padding
) -> Array:
    """One kernel a channel, as shifted products (see `blaze_block.DepthwiseConv`)."""
    padded = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), (0, 0), *padding)))
    reach = [(k - 1) * d for k, d in zip(kernel.shape[1:], dilations, strict=True)]
    height, width = (padded.shape[2] - reach[0], padded.shape[3] - reach[1])
    y = jnp.zeros((), x.dtype)
    for row in range(kernel.shape[1]):
        for column in range(kernel.shape[2]):
            top, left = row * dilations[0], column * dilations[1]
            rows = slice(top, top + height, strides[0])
            columns = slice(left, left + width, strides[1])
            y = y + padded[:, :, rows, columns] * kernel[:, row, column][:, None, None]
    return y


def _padding(
    spatial: Sizes, sizes: Sizes, strides: Sizes, dilations: Sizes, attributes: Attributes
) -> Padding:
    """(before, after) of each spatial axis."""
    automatic = attributes.get('auto_pad', 'NOTSET')
    if automatic in ('SAME_UPPER', 'SAME_LOWER'):
        found = []
        for length, size, stride, dilation in zip(spatial, sizes, strides, dilations, strict=True):
            needed = (math.ceil(length / stride) - 1) * stride + (size - 1) * dilation + 1 - length
            small, large = max(needed, 0) // 2, -(-max(needed, 0) // 2)
            found.append((small, large) if automatic == 'SAME_UPPER' else (large, small))
        return found
    pads = attributes.get('pads', [0] * 2 * len(sizes))
    half = len(pads) // 2
    return list(zip(pads[:half], pads[half:], strict=True))


def _batch_norm(inputs: Inputs, attributes: Attributes) -> Array:
    x, scale, bias, mean, variance = inputs
    factor = scale / jnp.sqrt(variance + attributes.get('epsilon', 1e-5))
    return x * _channels(factor, x) + _channels(bias - mean * factor, x)


def _prelu(inputs: Inputs, _: Attributes) -> Array:
    x, slope = inputs
    return jnp.where(x >= 0, x, x * slope)


def _gemm(inputs: Inputs, attributes: Attributes) -> Array:
    left = inputs[0].T if attributes.get('transA') else inputs[0]
    right = inputs[1].T if attributes.get('transB') else inputs[1]
    product = attributes.get('alpha', 1.0) * _matmul([left, right], {})
    return product if len(inputs) < 3 else product + attributes.get('beta', 1.0) * inputs[2]


def _matmul(inputs: Inputs, _: Attributes) -> Array:
    return jnp.matmul(*inputs, precision=jax.lax.Precision.HIGHEST)


def _flatten(inputs: Inputs, attributes: Attributes) -> Array:
    shape = inputs[0].shape
    axis = attributes.get('axis', 1) % (len(shape) + 1)
    return inputs[0].reshape(math.prod(shape[:axis]), -1)


def _reshape(inputs: Inputs, attributes: Attributes) -> Array:
    """A graph is written for one picture or for any number: the first axis stays the batch."""
    x = inputs[0]
    shape = [int(size) for size in (inputs[1] if len(inputs) > 1 else attributes['shape'])]
    shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    if shape[0] == 1:
        shape[0] = x.shape[0]
    return x.reshape(shape)


def _global_average(inputs: Inputs, _: Attributes) -> Array:
    return inputs[0].mean(axis=tuple(range(2, inputs[0].ndim)), keepdims=True)


def _channels(vector: Array, x: Array) -> Array:
    return vector.reshape(-1, *[1] * (x.ndim - 2))


_OPERATORS: dict[str, Callable[[Inputs, Attributes], Array]] = {
    'Add': lambda inputs, _: inputs[0] + inputs[1],
    'BatchNormalization': _batch_norm,
    'Concat': lambda inputs, attributes: jnp.concatenate(inputs, axis=attributes['axis']),
    'Conv': _conv,
    'Div': lambda inputs, _: inputs[0] / inputs[1],
    'Dropout': lambda inputs, _: inputs[0],
    'Flatten': _flatten,
    'Gemm': _gemm,
    'GlobalAveragePool': _global_average,
    'Identity': lambda inputs, _: inputs[0],
    'MatMul': _matmul,
    'Mul': lambda inputs, _: inputs[0] * inputs[1],
    'PRelu': _prelu,
    'Relu': lambda inputs, _: jax.nn.relu(inputs[0]),
    'Reshape': _reshape,
    'Sub': lambda inputs, _: inputs[0] - inputs[1],
}
