"""An ONNX graph of 2d106det's operators and sizes, with random weights."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 192
# (output channels, stride) of each depthwise + pointwise pair, as a MobileNet of half width.
BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))


class GraphWriter:
    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, *shape: int, spread: float = 0.1, middle: float = 0.0) -> str:
        return self.constant(self.rng.normal(middle, spread, shape).astype(np.float32))

    def constant(self, value: np.ndarray) -> str:
        name = f'w{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def add(self, op: str, *inputs: str, **attributes) -> str:
        self.count += 1
        self.nodes.append(helper.make_node(op, inputs, [f'v{self.count}'], **attributes))
        return f'v{self.count}'

    def conv(self, x: str, before: int, after: int, size: int, stride: int, group: int = 1) -> str:
        """Convolution, batch normalisation and PReLU."""
        spread = np.sqrt(1.5 * group / (before * size * size))
        x = self.add(
            'Conv',
            x,
            self.weight(after, before // group, size, size, spread=spread),
            *([self.weight(after)] if self.rng.random() < 0.5 else []),
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[size // 2] * 4,
            group=group,
        )
        scale, bias, mean = (self.weight(after, middle=m) for m in (1.0, 0.0, 0.0))
        variance = self.constant(self.rng.uniform(0.5, 1.5, after).astype(np.float32))
        x = self.add('BatchNormalization', x, scale, bias, mean, variance, epsilon=1e-3)
        return self.add('PRelu', x, self.weight(after, 1, 1, spread=0.05, middle=0.2))


def landmark_net(*, normalise: bool = True, seed: int = 0, outputs: int = 212) -> onnx.ModelProto:
    """Pixels f32[n, 3, 192, 192] -> f32[n, outputs], about within [-1, 1]."""
    writer = GraphWriter(seed)
    x = 'data'
    if normalise:
        x = writer.add('Sub', x, writer.constant(np.array([127.5], np.float32)))
        x = writer.add('Mul', x, writer.constant(np.array([1 / 128], np.float32)))
    x, width = writer.conv(x, 3, 16, 3, 2), 16
    for features, stride in BLOCKS:
        before = x
        x = writer.conv(x, width, width, 3, stride, group=width)
        x = writer.conv(x, width, features, 1, 1)
        if features == width and stride == 1:
            x = writer.add('Add', x, before)
        width = features
    x = writer.conv(x, width, 64, 1, 1)
    x = writer.conv(x, 64, 64, 3, 1, group=4)
    x = writer.add('Flatten', x)
    x = writer.add('Reshape', x, writer.constant(np.array([-1, 64 * 6 * 6], np.int64)))
    x = writer.add(
        'Gemm', x, writer.weight(256, 64 * 36, spread=0.02), writer.weight(256), transB=1
    )
    x = writer.add('MatMul', x, writer.weight(256, outputs, spread=0.02))
    x = writer.add('Add', x, writer.weight(outputs))
    graph = helper.make_graph(
        writer.nodes,
        'net',
        [helper.make_tensor_value_info('data', TensorProto.FLOAT, ['n', 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ['n', outputs])],
        writer.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
