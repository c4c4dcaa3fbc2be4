"""Floating-point operations of a step, counted by hand; docs/flops.md derives every line.

A multiplication and an addition are two operations. Only matrix products count: norms, softmax and
the optimiser are below one per cent at the paper's size.
"""

from __future__ import annotations

import dataclasses

from emola_jax.compile.expert_flops import expert_flops
from emola_jax.experts.blaze_face import SHORT_RANGE
from emola_jax.models.config import EmolaConfig, LlamaConfig


@dataclasses.dataclass(frozen=True)
class Flops:
    """Operations of one step by what does them, over all devices.

    Attributes:
      base: products with the frozen kernels of the language layers, forward and to the activations'
        gradients: 4N a token, and no 2N for gradients of weights that don't train.
      lora: the adapters, forward, and backward to both factors and the activations.
      attention: scores and mixing, over all pairs of positions (causality saves nothing here).
      vision: the frozen tower, forward only, as deep as its features need.
      expert: the frozen landmark expert, where the model has one.
      projectors: visual and prior, forward and backward.
      head: logits of the trained positions and the gradient through them.
      remat: what the backward pass computes a second time.
      replicated: what every device of mesh axis 'tensor' computes alike: the side of each adapter
        that meets the residual stream, whose width that axis doesn't split.
    """

    base: float = 0.0
    lora: float = 0.0
    attention: float = 0.0
    vision: float = 0.0
    expert: float = 0.0
    projectors: float = 0.0
    head: float = 0.0
    remat: float = 0.0
    replicated: float = 0.0

    @property
    def model(self) -> float:
        """What the method needs: the numerator of MFU."""
        return self.total - self.remat - self.replicated

    @property
    def total(self) -> float:
        """What the devices run."""
        return float(sum(dataclasses.astuple(self)))


def train_flops(
    config: EmolaConfig, *, rows: int, length: int, trained: int, segments: int = 1, tensor: int = 1
) -> Flops:
    """Operations of one optimiser step.

    Args:
      config: the model.
      rows: B.
      length: L.
      trained: positions a row that become logits.
      segments: conversations a row, each with its image and landmarks.
      tensor: devices along mesh axis 'tensor'.
    """
    llm, tokens = config.llm, rows * length
    kernels, adapters = _layer_kernels(llm), _layer_adapters(config)
    pairs = llm.layers * rows * length**2 * llm.heads * llm.head_dim
    return Flops(
        base=4.0 * llm.layers * sum(kernels.values()) * tokens,
        lora=6.0 * llm.layers * sum(adapters.values()) * tokens,
        attention=12.0 * pairs,
        vision=_vision(config, rows * segments),
        expert=_expert(config, rows * segments),
        projectors=_projectors(config, rows * segments, backward=True),
        head=4.0 * llm.width * llm.vocab * rows * trained,
        remat=_remat(config, tokens, pairs),
        replicated=(tensor - 1.0) * _residual_side(config, tokens),
    )


def prefill_flops(config: EmolaConfig, *, rows: int, length: int) -> Flops:
    """Operations of reading prompts, up to the logits of the first new token."""
    llm, tokens = config.llm, rows * length
    return Flops(
        base=2.0 * llm.layers * sum(_layer_kernels(llm).values()) * tokens,
        lora=2.0 * llm.layers * sum(_layer_adapters(config).values()) * tokens,
        attention=4.0 * llm.layers * rows * length**2 * llm.heads * llm.head_dim,
        vision=_vision(config, rows),
        expert=_expert(config, rows),
        projectors=_projectors(config, rows, backward=False),
        head=2.0 * llm.width * llm.vocab * rows,
    )


def decode_flops(config: EmolaConfig, *, rows: int, context: int) -> Flops:
    """Operations of writing one token a row on top of `context` cached positions."""
    llm = config.llm
    return Flops(
        base=2.0 * llm.layers * sum(_layer_kernels(llm).values()) * rows,
        lora=2.0 * llm.layers * sum(_layer_adapters(config).values()) * rows,
        attention=4.0 * llm.layers * rows * (context + 1) * llm.heads * llm.head_dim,
        head=2.0 * llm.width * llm.vocab * rows,
    )


def llm_parameters(llm: LlamaConfig) -> int:
    """N: numbers in the kernels of the language layers, without embeddings and head."""
    return llm.layers * sum(_layer_kernels(llm).values())


def _shapes(llm: LlamaConfig) -> dict[str, tuple[int, int]]:
    heads, kv_heads = llm.heads * llm.head_dim, llm.kv_heads * llm.head_dim
    return {
        'q': (llm.width, heads),
        'k': (llm.width, kv_heads),
        'v': (llm.width, kv_heads),
        'o': (heads, llm.width),
        'gate': (llm.width, llm.mlp),
        'up': (llm.width, llm.mlp),
        'down': (llm.mlp, llm.width),
    }


def _layer_kernels(llm: LlamaConfig) -> dict[str, int]:
    return {name: inputs * outputs for name, (inputs, outputs) in _shapes(llm).items()}


def _layer_adapters(config: EmolaConfig) -> dict[str, int]:
    if config.lora is None:
        return {}
    shapes = _shapes(config.llm)
    return {name: config.lora.rank * sum(shapes[name]) for name in config.lora.targets}


def _remat(config: EmolaConfig, tokens: int, pairs: float) -> float:
    """'full' repeats a layer up to its last product, whose output nothing in the layer reads."""
    if config.remat == 'none':
        return 0.0
    if config.remat == 'dots':
        return 4.0 * pairs  # products over batch dimensions, which are those of attention
    llm, kernels, adapters = config.llm, _layer_kernels(config.llm), _layer_adapters(config)
    repeated = sum(kernels.values()) - kernels['down'] + sum(adapters.values())
    if 'down' in adapters:
        repeated -= config.lora.rank * llm.width if config.lora else 0
    return 2.0 * llm.layers * repeated * tokens + 4.0 * pairs


def _residual_side(config: EmolaConfig, tokens: int) -> float:
    """Products between the adapters' ranks and the residual stream: A of q, B of o, and so on."""
    if config.lora is None:
        return 0.0
    adapters = len(config.lora.targets)
    repeated = adapters - ('down' in config.lora.targets) if config.remat == 'full' else 0
    each = config.lora.rank * config.llm.width * config.llm.layers * tokens
    return float(each * (6 * adapters + 2 * repeated))


def _vision(config: EmolaConfig, images: int) -> float:
    vision = config.vision
    if vision is None:
        return 0.0
    patches = vision.grid**2
    tokens = patches + 1
    layer = tokens * (4 * vision.width**2 + 2 * vision.width * vision.mlp)
    attention = 2 * tokens**2 * vision.width
    embedding = patches * 3 * vision.patch_size**2 * vision.width
    return 2.0 * images * (vision.used_layers * (layer + attention) + embedding)


def _expert(config: EmolaConfig, images: int) -> float:
    """Without a vision tower the images are taken to have the detector's size."""
    if not config.computes_landmarks:
        return 0.0
    side = config.vision.image_size if config.vision is not None else SHORT_RANGE.size
    return float(images * expert_flops(side))


def _projectors(config: EmolaConfig, conversations: int, *, backward: bool) -> float:
    """Two maps each; nothing before the first one trains, so its inputs get no gradient."""
    width, total = config.llm.width, 0.0
    maps = []
    if config.vision is not None:
        maps.append((config.vision.tokens, config.vision.features, width))
    maps += [(1, prior.inputs, prior.hidden or width) for prior in config.priors]
    for vectors, inputs, hidden in maps:
        first, second = inputs * hidden, hidden * width
        each = 4 * first + 6 * second if backward else 2 * first + 2 * second
        total += float(conversations * vectors * each)
    return total
