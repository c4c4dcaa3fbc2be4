"""EmoLA (ECCV 2024): LLaVA with a facial-prior token beside the patches of each face."""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Array, Bool, Float, Int

from emola_jax.models.clip_vit import ClipVit, normalize_images
from emola_jax.models.config import VISUAL_TOKEN, EmolaConfig
from emola_jax.models.face_prior import FacePrior, MorePriors
from emola_jax.models.landmark_expert import LandmarkExpert
from emola_jax.models.layers import stack_layers, unstack_layers
from emola_jax.models.llama import Cache, Llama
from emola_jax.models.projector import Projector
from emola_jax.ops.attention import packed_mask
from emola_jax.parallel.sharding import constrain
from emola_jax.weights.trees import Params as Params
from emola_jax.weights.trees import Tree

Batch = Mapping[str, Array]
"""What the model reads of a batch: tokens, positions, segment_ids i32[B, L] and, as far as it uses
them, images u8[B, S, H, W, 3] and landmarks f32[B, S, 212]."""


class Emola(nn.Module):
    """The whole model. Parameters: `vision`, `visual_projector`, `face_prior`, `llm`.

    `more_priors` and `landmark_expert` are there where the configuration asks for them.

    `apply(variables, batch)` gives the logits of teacher forcing; `prefill` and `decode_step`
    (through `method=`) write an answer token by token.
    """

    cfg: EmolaConfig

    def setup(self) -> None:
        """Creates the parts that the configuration asks for."""
        cfg, dtype = self.cfg, jnp.dtype(self.cfg.dtype)
        width = cfg.llm.width
        if cfg.vision is not None:
            self.vision = ClipVit(
                cfg.vision, dtype, jnp.dtype(cfg.param_dtype), cfg.remat, cfg.quantize
            )
            self.visual_projector = Projector(
                width, width, 'vision_embed', cfg.projector_rms, dtype
            )
        if cfg.prior.enabled:
            self.face_prior = FacePrior(cfg.prior, width, cfg.projector_rms, dtype)
        more = tuple((name, prior) for name, prior in cfg.more_priors if prior.enabled)
        if more:
            self.more_priors = MorePriors(more, width, cfg.projector_rms, dtype)
        if cfg.computes_landmarks:
            self.landmark_expert = LandmarkExpert()
        self.llm = Llama(cfg)

    def __call__(self, batch: Batch, deterministic: bool = True) -> Float[Array, 'B L V']:
        """Logits (float32) of the next token at every position of packed rows.

        A token sees the past of its own conversation only. What stands at padding positions is
        without meaning. `deterministic=False` needs an rng stream named 'dropout'.
        """
        return self.llm.logits(self.hidden(batch, deterministic))

    def hidden(self, batch: Batch, deterministic: bool = True) -> Float[Array, 'B L D']:
        """What `__call__` computes before the output head; `logits` maps it on."""
        mask = packed_mask(batch['segment_ids'])
        x, _ = self.llm(self.embed(batch), batch['positions'], mask, deterministic=deterministic)
        return x

    def logits(self, hidden: Float[Array, '*rows D']) -> Float[Array, '*rows V']:
        """Output head: hidden states -> float32 logits."""
        return self.llm.logits(hidden)

    def hidden_and_head(
        self, batch: Batch, deterministic: bool = True
    ) -> tuple[Float[Array, 'B L D'], Float[Array, 'D V'] | Float[Array, 'V D']]:
        """`hidden`, and `Llama.output_head`: for a loss that makes few logits."""
        return self.hidden(batch, deterministic), self.llm.output_head()

    def embed(self, batch: Batch) -> Float[Array, 'B L D']:
        """Token embeddings with the visual vectors in place of the VISUAL_TOKENs."""
        tokens = batch['tokens']
        x = constrain(self.llm.embed_tokens(jnp.maximum(tokens, 0)), 'batch', 'length', 'width')
        if self.cfg.visual_tokens:
            x = splice(x, self.visual(batch), tokens)
        return constrain(x, 'batch', 'length', 'width')

    def visual(self, batch: Batch) -> Float[Array, 'B visual D']:
        """Visual vectors of a row: for each segment its patches, priors before and after them."""
        tokens = list(zip(self.cfg.priors, self.prior_tokens(batch), strict=True))
        parts = [token for prior, token in tokens if prior.place == 'before']
        if self.cfg.use_vision:
            parts.append(self.patches(batch['images']))
        parts += [token for prior, token in tokens if prior.place == 'after']
        visual = jnp.concatenate(parts, axis=2)
        return visual.reshape(visual.shape[0], -1, visual.shape[-1])

    def prior_tokens(self, batch: Batch) -> list[Float[Array, 'B S 1 D']]:
        """The token of each of `cfg.priors`."""
        landmarks: dict[str, Array] = {}
        if self.cfg.reads_landmarks:
            landmarks = {'disk': batch['landmarks'], 'shuffled': batch['landmarks']}
        if self.cfg.computes_landmarks:
            landmarks['image'] = self.landmark_expert(batch['images'])
        tokens = []
        if self.cfg.prior.enabled:
            tokens.append(self.face_prior(landmarks[self.cfg.prior.source]))
        if len(tokens) < len(self.cfg.priors):
            tokens += self.more_priors(landmarks)
        return [token[:, :, None] for token in tokens]

    def patches(self, images: Array) -> Float[Array, 'B S T D']:
        """Raw images u8[B, S, H, W, 3] -> projected patch features."""
        rows = images.shape[:2]
        pixels = normalize_images(images.reshape(-1, *images.shape[2:]), self.vision.cfg)
        features = self.visual_projector(self.vision(pixels))
        features = constrain(features, 'batch', 'length', 'width')
        return features.reshape(*rows, *features.shape[1:])

    def prefill(self, batch: Batch) -> tuple[Float[Array, 'B V'], Cache]:
        """Reads left-padded prompts: logits after the last position, and the cache of all."""
        x, cache = self.llm(
            self.embed(batch),
            batch['positions'],
            packed_mask(batch['segment_ids']),
            with_cache=True,
        )
        return self.llm.logits(x[:, -1]), cache

    def decode_step(
        self,
        tokens: Int[Array, 'B'],
        positions: Int[Array, 'B'],
        past: Cache,
        past_mask: Bool[Array, 'B P'],
    ) -> tuple[Float[Array, 'B V'], Cache]:
        """One token a row on top of a cache.

        Returns:
            (float32 logits of the next token, cache of this one token).
        """
        x, cache = self.llm(
            self.llm.embed_tokens(tokens[:, None]),
            positions[:, None],
            None,
            past,
            past_mask,
            with_cache=True,
        )
        return self.llm.logits(x[:, 0]), cache

    def extend(
        self,
        tokens: Int[Array, 'B L'],
        positions: Int[Array, 'B L'],
        mask: Bool[Array, 'B L L'],
        past: Cache,
        past_mask: Bool[Array, 'B P'],
    ) -> tuple[Float[Array, 'B L V'], Cache]:
        """Several tokens a row on top of a cache, which may be branches of a tree.

        Args:
            tokens: their ids.
            positions: for RoPE.
            mask: mask[b, query, key] among them.
            past: what all of them follow.
            past_mask: which positions of it exist.

        Returns:
            (float32 logits behind each token, cache of these tokens).
        """
        x, cache = self.llm(
            self.llm.embed_tokens(tokens), positions, mask, past, past_mask, with_cache=True
        )
        return self.llm.logits(x), cache


def splice(
    x: Float[Array, 'B L D'], visual: Float[Array, 'B visual D'], tokens: Int[Array, 'B L']
) -> Float[Array, 'B L D']:
    """Puts visual[b, k] at the k-th VISUAL_TOKEN of row b; all other positions keep x.

    A VISUAL_TOKEN beyond the row's last vector gives NaN, which the loss shows.
    """
    here = tokens == VISUAL_TOKEN
    order = jnp.maximum(jnp.cumsum(here, axis=1) - 1, 0)
    spread = jnp.take_along_axis(visual, order[..., None], axis=1, mode='fill')
    return jnp.where(here[..., None], spread.astype(x.dtype), x)


def unroll(model: Emola, params: Params) -> tuple[Emola, Params]:
    """The same model with its language layers one by one instead of stacked.

    On a CPU decoding gains a third, since a compiled loop copies each layer's weights and cache out
    of the stack at every token, and training a tenth; compiling takes longer. The weights are
    copied once, on a CPU not even that.
    """
    if not model.cfg.scan:
        return model, params
    return model.clone(cfg=model.cfg.replace(scan=False)), unroll_params(params)


def unroll_params(params: Params) -> Params:
    """The parameters, or some of them, with one subtree a language layer instead of a stack."""
    llm = {**params['llm'], 'layers': unstack_layers(params['llm']['layers'])}
    return {**params, 'llm': llm}


def restack_params(params: Params) -> Params:
    """The inverse of `unroll_params`."""
    llm = {**params['llm'], 'layers': stack_layers(params['llm']['layers'])}
    return {**params, 'llm': llm}


_ANY_SIZE = 32  # of images that only the landmark expert looks at


def example_batch(cfg: EmolaConfig, rows: int = 1) -> dict[str, np.ndarray]:
    """The smallest batch that `Emola.init` takes: one segment a row, all zeros.

    Under `jax.jit` or `jax.eval_shape` the forward pass behind the parameters costs nothing.
    """
    length = cfg.visual_tokens + 1
    batch = {
        name: np.zeros((rows, length), np.int32) for name in ('tokens', 'positions', 'segment_ids')
    }
    if cfg.reads_images:
        size = cfg.vision.image_size if cfg.vision is not None else _ANY_SIZE
        batch['images'] = np.zeros((rows, 1, size, size, 3), np.uint8)
    if cfg.reads_landmarks:
        batch['landmarks'] = np.zeros((rows, 1, cfg.landmark_inputs), np.float32)
    return batch


def abstract_params(cfg: EmolaConfig) -> Tree:
    """Shape, dtype and logical axis names of every parameter, without making any.

    Returns:
        Nested dict of `nn.LogicallyPartitioned` boxes; `sharding.unbox` takes them off.
    """
    return jax.eval_shape(Emola(cfg).init, jax.random.key(0), example_batch(cfg))['params']


def param_shapes(cfg: EmolaConfig) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    """Path -> shape and dtype of every parameter."""
    return flatten_dict(nn.unbox(abstract_params(cfg)))
