"""CLIP's vision transformer (Radford et al., 2021), as far as its features are needed."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from emola_jax.models.config import QuantConfig, VisionConfig
from emola_jax.models.layers import ATTENTION, Dense, remat_layer
from emola_jax.ops.attention import attention
from emola_jax.ops.product import product
from emola_jax.parallel.sharding import constrain, logical_param


def normalize_images(
    images: UInt8[Array, '*rows height width 3'], config: VisionConfig
) -> Float[Array, '*rows height width 3']:
    """(pixel/255 - mean) / std in float32, per channel."""
    mean, std = jnp.asarray(config.image_mean), jnp.asarray(config.image_std)
    return (images.astype(jnp.float32) / 255 - mean) / std


class ClipVit(nn.Module):
    """Pre-norm ViT with a class token, a norm before the first layer and quick-GELU.

    Returns HF's `hidden_states[feature_layer]` without the class token; layers behind it are never
    created. Everything in it is meant to stay frozen.
    """

    cfg: VisionConfig
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    remat: str = 'none'
    quantize: QuantConfig | None = None

    @nn.compact
    def __call__(self, images: Float[Array, 'B height width 3']) -> Float[Array, 'B T features']:
        """Normalised images -> one vector per (merged) patch, row by row, in `dtype`.

        With spatial_merge m, neighbours are joined in the order (top row left to right, next row).
        """
        cfg = self.cfg
        x = self._embed(images)
        layer = remat_layer(VitLayer, self.remat, (), in_loop=True)
        scanned = nn.scan(
            layer,
            variable_axes={'params': 0},
            split_rngs={'params': True},
            length=cfg.used_layers,
            metadata_params={nn.PARTITION_NAME: 'layers'},
        )
        if cfg.used_layers:
            build = scanned(cfg, self.dtype, self.param_dtype, self.quantize, name='layers')
            x, _ = build(x, None)
        return merge_neighbours(x[:, 1:], cfg.grid, cfg.spatial_merge)

    def _embed(self, images: Float[Array, 'B height width 3']) -> Float[Array, 'B T1 D']:
        cfg = self.cfg
        size = (cfg.image_size, cfg.image_size, 3)
        if images.shape[1:] != size:
            raise ValueError(f'images have shape {images.shape[1:]}, the tower expects {size}')

        def param(name: str, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> Array:
            normal = nn.initializers.normal(0.02)
            weight = logical_param(self, name, normal, axes, shape, self.param_dtype)
            return weight.astype(self.dtype)

        p, grid = cfg.patch_size, cfg.grid
        kernel = param('patch_kernel', ('patch', None, None, 'vision_embed'), (p, p, 3, cfg.width))
        patches = images.astype(self.dtype).reshape(-1, grid, p, grid, p, 3).swapaxes(2, 3)
        x = product(patches.reshape(-1, grid**2, p * p * 3), kernel.reshape(-1, cfg.width))
        token = param('class_embedding', ('vision_embed',), (cfg.width,))
        x = jnp.concatenate([jnp.broadcast_to(token, (x.shape[0], 1, cfg.width)), x], axis=1)
        x += param('position_embedding', ('position', 'vision_embed'), (grid**2 + 1, cfg.width))
        x = _layer_norm(cfg, self.param_dtype, 'pre_norm')(x).astype(self.dtype)
        return constrain(x, 'batch', 'length', 'width')


class VitLayer(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); shaped for `nn.scan`."""

    cfg: VisionConfig
    dtype: DTypeLike
    param_dtype: DTypeLike
    quantize: QuantConfig | None

    @nn.compact
    def __call__(self, x: Float[Array, 'B L D'], _: None) -> tuple[Float[Array, 'B L D'], None]:
        """Returns (output, None): carry and per-layer output of the scan."""
        cfg = self.cfg
        heads = (*x.shape[:2], cfg.heads, cfg.width // cfg.heads)
        h = _layer_norm(cfg, self.param_dtype, 'norm_1')(x)
        q, k, v = (
            constrain(
                self._dense(cfg.width, ('vision_embed', 'vision_heads'), n)(h).reshape(heads),
                *('batch', 'length', 'vision_heads', None),
            )
            for n in ('q', 'k', 'v')
        )
        mixed = checkpoint_name(attention(q, k, v, mask=None), ATTENTION).reshape(x.shape)
        x += self._dense(cfg.width, ('vision_heads', 'vision_embed'), 'o')(mixed)
        x = constrain(x, 'batch', 'length', 'width')
        h = _layer_norm(cfg, self.param_dtype, 'norm_2')(x)
        h = self._dense(cfg.mlp, ('vision_embed', 'vision_mlp'), 'fc_1')(h)
        h = constrain(h * jax.nn.sigmoid(1.702 * h), 'batch', 'length', 'vision_mlp')  # quick-GELU
        x += self._dense(cfg.width, ('vision_mlp', 'vision_embed'), 'fc_2')(h)
        return constrain(x, 'batch', 'length', 'width'), None

    def _dense(self, features: int, axes: tuple[str, str], name: str) -> Dense:
        options = self.quantize or QuantConfig()
        return Dense(
            features,
            axes,
            self.dtype,
            self.param_dtype,
            kind=options.vision,
            block=options.block,
            name=name,
        )


def _layer_norm(config: VisionConfig, param_dtype: DTypeLike, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(
        epsilon=config.norm_eps,
        dtype=jnp.float32,
        param_dtype=param_dtype,
        scale_init=nn.with_logical_partitioning(nn.initializers.ones, ('norm',)),
        bias_init=nn.with_logical_partitioning(nn.initializers.zeros, ('norm',)),
        use_fast_variance=False,
        name=name,
    )


def merge_neighbours(
    x: Float[Array, 'B T D'], grid: int, merge: int
) -> Float[Array, 'B T_merged D_merged']:
    """Joins each merge x merge block of a grid x grid map on the channel axis."""
    batch, _, width = x.shape
    side = grid // merge
    x = x.reshape(batch, side, merge, side, merge, width).swapaxes(2, 3)
    return x.reshape(batch, side * side, merge * merge * width)
