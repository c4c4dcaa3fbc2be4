"""LLaMA (Touvron et al., 2023) in Hugging Face's conventions, with optional LoRA."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float, Int

from emola_jax.models.config import EmolaConfig, QuantConfig
from emola_jax.models.layers import ATTENTION, RmsNorm, frozen_matrix, remat_layer
from emola_jax.models.lora import LoraDense
from emola_jax.ops import quant
from emola_jax.ops.attention import attention
from emola_jax.ops.gate import swiglu
from emola_jax.ops.rope import apply_rope, rope_tables
from emola_jax.parallel.sharding import constrain
from emola_jax.weights.trees import KeyPath, Tree

Cache = Tree
"""{'k': [layers, B, K, H, P], 'v': [layers, B, K, P, H]}; unrolled, {'0': {'k', 'v'}, …} without
the axis of layers. Both lie as the products with them read them."""

_AXES = {'k': {'rows': -4, 'positions': -1}, 'v': {'rows': -4, 'positions': -2}}


def cache_axis(path: KeyPath, name: str) -> int:
    """Which axis of the cache's leaf at `path` its 'rows' or 'positions' lie along; negative."""
    return _AXES[path[-1].key][name]


def grow_cache(cache: Cache, room: int) -> Cache:
    """Appends `room` empty positions."""

    def grow(path: KeyPath, leaf: Array) -> Array:
        widths = [(0, 0)] * leaf.ndim
        widths[cache_axis(path, 'positions')] = (0, room)
        return jnp.pad(leaf, widths)

    return jax.tree_util.tree_map_with_path(grow, cache)


def write_cache(cache: Cache, new: Cache, position: Int[Array, '']) -> Cache:
    """Puts the positions of `new` into `cache`, from `position` on."""

    def write(path: KeyPath, old: Array, part: Array) -> Array:
        axis = cache_axis(path, 'positions')
        return jax.lax.dynamic_update_slice_in_dim(old, part, position, axis)

    return jax.tree_util.tree_map_with_path(write, cache, new)


def first_positions(cache: Cache, count: int) -> Cache:
    """The first `count` positions of a cache."""

    def cut(path: KeyPath, leaf: Array) -> Array:
        return jax.lax.slice_in_dim(leaf, 0, count, axis=cache_axis(path, 'positions') % leaf.ndim)

    return jax.tree_util.tree_map_with_path(cut, cache)


# deterministic and with_cache of LlamaLayer are Python values (the module is argument 0).
_STATIC = (6, 7)


class Llama(nn.Module):
    """The decoder stack between embeddings and hidden states, and both ends as methods.

    Parameters: `embed` [V, D], `layers`, `norm`, and unless tied `head` [D, V].
    """

    cfg: EmolaConfig

    def setup(self) -> None:
        """Declares the parameters."""
        cfg, dtype = self.cfg.llm, jnp.dtype(self.cfg.param_dtype)
        options = self.cfg.quantize or QuantConfig()
        normal = nn.initializers.normal(0.02)
        # The table's blocks lie along its rows, so that a row can be looked up by itself.
        self.embedding = frozen_matrix(
            self,
            'embed',
            normal,
            ('vocab', 'embed'),
            (cfg.vocab, cfg.width),
            dtype,
            options.ends,
            block=options.block,
            block_axis=-1,
        )
        self.layers = _scanned_layers(self.cfg) if self.cfg.scan else _UnrolledLayers(self.cfg)
        self.norm = RmsNorm(cfg.norm_eps, dtype)
        if not cfg.tied_embeddings:
            self.head = frozen_matrix(
                self,
                'head',
                normal,
                ('embed', 'vocab'),
                (cfg.width, cfg.vocab),
                dtype,
                options.ends,
                block=options.block,
            )

    def embed_tokens(self, tokens: Int[Array, 'B L']) -> Float[Array, 'B L D']:
        """Looks ids up in the embedding table; an id beyond it gives NaN, which the loss shows."""
        if isinstance(self.embedding, quant.Quantized):
            return quant.take_rows(self.embedding, tokens, self.cfg.dtype)
        return jnp.take(self.embedding, tokens, axis=0).astype(self.cfg.dtype)

    def logits(self, x: Float[Array, '*rows D']) -> Float[Array, '*rows V']:
        """Normed hidden states -> float32 logits."""
        head = self.output_head()
        if self.cfg.llm.tied_embeddings:
            head = head.T
        return jnp.matmul(x, head, preferred_element_type=jnp.float32)

    def output_head(self) -> Float[Array, 'D V'] | Float[Array, 'V D']:
        """What maps normed hidden states to logits, in `dtype`: head, or if tied the table."""
        matrix = self.embedding if self.cfg.llm.tied_embeddings else self.head
        if isinstance(matrix, quant.Quantized):
            matrix = quant.dequantize(matrix, self.cfg.dtype)
        return matrix.astype(self.cfg.dtype)

    def __call__(
        self,
        x: Float[Array, 'B L D'],
        positions: Int[Array, 'B L'],
        mask: Bool[Array, 'B L L'] | None,
        past: Cache | None = None,
        past_mask: Bool[Array, 'B P'] | None = None,
        *,
        deterministic: bool = True,
        with_cache: bool = False,
    ) -> tuple[Float[Array, 'B L D'], Cache]:
        """Runs all layers and the last norm.

        Args:
            x: embeddings.
            positions: for RoPE.
            mask: mask[b, query, key] among the present tokens.
            past: keys and values that every query may attend to as well.
            past_mask: which of them exist.
            deterministic: False applies LoRA dropout.
            with_cache: whether to return this call's own keys and values (else
                the cache is empty).

        Returns:
            (hidden states [B, L, D], cache of the present tokens).
        """
        # Positions count a row's own tokens, so none is beyond what the row and its past hold.
        limit = positions.shape[1] + (0 if past_mask is None else past_mask.shape[1])
        tables = rope_tables(positions, self.cfg.llm.head_dim, self.cfg.llm.rope_theta, limit)
        x, cache = self.layers(x, past, past_mask, mask, tables, deterministic, with_cache)
        return self.norm(x), cache or {}


class _UnrolledLayers(nn.Module):
    """The layers one by one, each with a parameter subtree of its own ('0', '1', …)."""

    cfg: EmolaConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, 'B L D'], past: Cache | None, *shared: object
    ) -> tuple[Float[Array, 'B L D'], Cache]:
        """Same arguments and results as the scanned `LlamaLayer`, but caches come by name."""
        layer = remat_layer(LlamaLayer, self.cfg.remat, _STATIC, in_loop=False)
        layer = nn.jit(layer, static_argnums=_STATIC)  # all layers are traced as one
        cache = {}
        for name in map(str, range(self.cfg.llm.layers)):
            own = None if past is None else past[name]
            x, cache[name] = layer(self.cfg, name=name)(x, own, *shared)
        return x, cache


def _scanned_layers(config: EmolaConfig) -> nn.Module:
    scanned = nn.scan(
        remat_layer(LlamaLayer, config.remat, _STATIC, in_loop=True),
        variable_axes={'params': 0},
        split_rngs={'params': True, 'dropout': True},
        in_axes=(0,) + (nn.broadcast,) * 5,
        length=config.llm.layers,
        metadata_params={nn.PARTITION_NAME: 'layers'},
    )
    return scanned(config)


class LlamaLayer(nn.Module):
    """x + attention(norm(x)), then x + SwiGLU(norm(x))."""

    cfg: EmolaConfig

    @nn.compact
    def __call__(
        self,
        x: Float[Array, 'B L D'],
        past: Cache | None,
        past_mask: Bool[Array, 'B P'] | None,
        mask: Bool[Array, 'B L L'] | None,
        tables: tuple[Float[Array, 'B L half'], Float[Array, 'B L half']],
        deterministic: bool,
        with_cache: bool,
    ) -> tuple[Float[Array, 'B L D'], Cache | None]:
        """Returns (output, keys and values of the present tokens as a `Cache` or None)."""
        cfg = self.cfg.llm
        rows = x.shape[:2]
        h = self._norm('attention_norm')(x)
        q = self._dense('q', cfg.heads * cfg.head_dim, ('embed', 'heads'))(h, deterministic)
        k = self._dense('k', cfg.kv_heads * cfg.head_dim, ('embed', 'kv_heads'))(h, deterministic)
        v = self._dense('v', cfg.kv_heads * cfg.head_dim, ('embed', 'kv_heads'))(h, deterministic)
        q = _constrain_heads(q.reshape(*rows, cfg.heads, cfg.head_dim), 'heads')
        k = _constrain_heads(k.reshape(*rows, cfg.kv_heads, cfg.head_dim), 'kv_heads')
        v = _constrain_heads(v.reshape(*rows, cfg.kv_heads, cfg.head_dim), 'kv_heads')
        q, k = apply_rope(q, *tables), apply_rope(k, *tables)
        known = None
        if past is not None:
            assert past_mask is not None  # they come together
            known = past['k'], past['v'], past_mask
        mixed = checkpoint_name(attention(q, k, v, mask, known), ATTENTION).reshape(*rows, -1)
        x += self._dense('o', cfg.width, ('heads', 'embed'))(mixed, deterministic)
        x = constrain(x, 'batch', 'length', 'width')
        h = self._norm('mlp_norm')(x)
        gate = self._dense('gate', cfg.mlp, ('embed', 'mlp'))(h, deterministic)
        up = self._dense('up', cfg.mlp, ('embed', 'mlp'))(h, deterministic)
        h = constrain(swiglu(gate, up), 'batch', 'length', 'mlp')
        x += self._dense('down', cfg.width, ('mlp', 'embed'))(h, deterministic)
        x = constrain(x, 'batch', 'length', 'width')
        if not with_cache:
            return x, None
        return x, {'k': k.transpose(0, 2, 3, 1), 'v': v.transpose(0, 2, 1, 3)}

    def _norm(self, name: str) -> RmsNorm:
        return RmsNorm(self.cfg.llm.norm_eps, jnp.dtype(self.cfg.param_dtype), name=name)

    def _dense(self, name: str, features: int, axes: tuple[str, str]) -> LoraDense:
        cfg = self.cfg
        lora = cfg.lora if cfg.lora is not None and name in cfg.lora.targets else None
        options = cfg.quantize or QuantConfig()
        return LoraDense(
            features,
            axes,
            lora,
            jnp.dtype(cfg.dtype),
            jnp.dtype(cfg.param_dtype),
            kind=options.layers,
            block=options.block,
            name=name,
        )


def _constrain_heads(x: Float[Array, 'B L N H'], heads: str) -> Float[Array, 'B L N H']:
    return constrain(x, 'batch', 'length', heads, None)
