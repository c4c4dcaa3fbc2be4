"""The residual block that BlazeFace and FaceMesh are built of (arXiv:1905.05047, 1907.06724)."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer
from jaxtyping import Array, Float

from emola_jax.parallel.sharding import logical_param


class Block(NamedTuple):
    """One block as data: output channels, and 2 where it halves the map."""

    features: int
    stride: int = 1


class BlazeBlock(nn.Module):
    """act(skip(x) + pointwise(depthwise(x))).

    The skip is x itself, max-pooled where the block halves the map and filled up with zero channels
    where it widens it.
    """

    features: int
    stride: int = 1
    learned_slope: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, 'B H W C']) -> Float[Array, 'B h w features']:
        """Height and width must be even where the stride is 2."""
        height, width, channels = x.shape[1:]
        # 'Same' padding as TensorFlow's: at stride 2 the odd row and column are at the end.
        before = 1 if self.stride == 1 else 0
        # Behind the barrier the framed map stands in memory; else it is made nine times. The skip
        # reads it, too, so that no other is written.
        framed = jax.lax.optimization_barrier(
            jnp.pad(x, ((0, 0), (before, 1), (before, 1), (0, 0)))
        )
        y = DepthwiseConv(self.stride, name='depthwise')(framed)
        y = PointwiseConv(self.features, name='pointwise')(y)
        skip = framed[:, before : before + height, before : before + width]
        if self.stride == 2:
            skip = max_pool_2x2(skip)
        widen = self.features - channels
        skip = jnp.pad(skip, ((0, 0), (0, 0), (0, 0), (0, widen)))
        return Rectifier(self.learned_slope, name='act')(skip + y)


class DepthwiseConv(nn.Module):
    """3 x 3, on a map with its frame.

    Written as nine shifted products: XLA fuses them into one pass on every device, while its
    grouped convolution on CPU is an order of magnitude slower.
    """

    stride: int = 1

    @nn.compact
    def __call__(self, framed: Float[Array, 'B H W C']) -> Float[Array, 'B h w C']:
        """Convolves every channel with its own kernel."""
        channels = framed.shape[-1]
        kernel = expert_param(self, 'kernel', (1, 3, 3, channels))[0]
        y = expert_param(self, 'bias', (channels,))
        height, width = framed.shape[1] - 2, framed.shape[2] - 2
        for row in range(3):
            for column in range(3):
                rows = slice(row, row + height, self.stride)
                columns = slice(column, column + width, self.stride)
                y = y + framed[:, rows, columns] * kernel[row, column]
        return y


class PointwiseConv(nn.Module):
    """1 x 1: one matrix product over the channels."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, 'B H W C']) -> Float[Array, 'B H W features']:
        """Mixes the channels of every pixel."""
        kernel = expert_param(self, 'kernel', (1, 1, x.shape[-1], self.features))[0, 0]
        return full_precision_dot(x, kernel) + expert_param(self, 'bias', (self.features,))


class WholeConv(nn.Module):
    """A convolution as large as its map: one matrix product."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, 'B H H C']) -> Float[Array, 'B features']:
        """Sees the whole map at once."""
        shape = (*x.shape[1:], self.features)
        kernel = expert_param(self, 'kernel', shape).reshape(-1, self.features)
        product = full_precision_dot(x.reshape(len(x), -1), kernel)
        return product + expert_param(self, 'bias', (self.features,))


class HalvingConv(nn.Module):
    """`size` x `size` at stride 2, 'same' padding as TensorFlow's, as one matrix product.

    Each 2 x 2 pixels become one cell of four times the channels, which leaves a convolution at
    stride 1 over cells. For a three-channel picture on CPU that takes a fraction of the time of a
    convolution.
    """

    features: int
    size: int

    @nn.compact
    def __call__(self, x: Float[Array, 'B H W C']) -> Float[Array, 'B H/2 W/2 features']:
        """Height and width must be even, `size` odd."""
        batch, height, width, channels = x.shape
        kernel = expert_param(self, 'kernel', (self.size, self.size, channels, self.features))
        height, width, reach = height // 2, width // 2, (self.size + 1) // 2  # in cells
        before = (self.size - 2) // 2
        frame = (before, 2 * (reach - 1) - before)
        cells = jnp.pad(x, ((0, 0), frame, frame, (0, 0)))
        cells = cells.reshape(batch, height + reach - 1, 2, width + reach - 1, 2, channels)
        cells = cells.transpose(0, 1, 3, 4, 2, 5).reshape(*cells.shape[:2], -1, 4 * channels)
        # All that a row of cells gives to any row of the result, by one product: laid side by side
        # are the cells of a row only, not those of several. Of the last cell's two columns the
        # kernel meets the first.
        used = [*[4 * channels] * (reach - 1), 2 * channels]
        wide = [cells[:, :, j : j + width, :count] for j, count in enumerate(used)]
        # The row of the kernel that would meet a cell's second row of pixels at the end is zero.
        blocks = jnp.pad(kernel, ((0, 1), (0, 0), (0, 0), (0, 0)))
        blocks = blocks.reshape(reach, 2, self.size, channels, self.features)
        matrix = blocks.transpose(2, 1, 3, 0, 4).reshape(-1, reach * self.features)
        given = full_precision_dot(jnp.concatenate(wide, axis=-1), matrix)
        y = expert_param(self, 'bias', (self.features,))
        for i, part in enumerate(jnp.split(given, reach, axis=-1)):
            y = y + part[:, i : i + height]
        return y


class Rectifier(nn.Module):
    """ReLU, or PReLU with a learned slope a channel."""

    learned_slope: bool

    @nn.compact
    def __call__(self, x: Float[Array, 'B H W C']) -> Float[Array, 'B H W C']:
        """Applies it."""
        if not self.learned_slope:
            return jax.nn.relu(x)
        return jnp.where(x >= 0, x, x * expert_param(self, 'alpha', (1, 1, x.shape[-1])))


def max_pool_2x2(x: Float[Array, 'B H W C']) -> Float[Array, 'B H/2 W/2 C']:
    """The greatest of each 2 x 2."""
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def full_precision_dot(x: Float[Array, '*rows K'], kernel: Float[Array, 'K N']) -> Array:
    """A matrix product in true float32 (TPUs and GPUs would otherwise round to fewer bits)."""
    return jnp.matmul(x, kernel, precision=jax.lax.Precision.HIGHEST)


def expert_param(module: nn.Module, name: str, shape: tuple[int, ...]) -> Array:
    """A float32 parameter of a landmark expert: small, so whole on every device."""
    init: Initializer = nn.initializers.normal(0.1)
    axes = (*(None,) * (len(shape) - 1), 'expert')
    return logical_param(module, name, init, axes, shape, jnp.float32)
