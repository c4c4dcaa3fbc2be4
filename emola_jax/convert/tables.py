"""The tables: names of Hugging Face's CLIP and of the original LLaVA beside ours."""

from __future__ import annotations

from emola_jax.convert.rules import LAYER, Rule


def norm(theirs: str, *ours: str) -> list[Rule]:
    """Scale and bias of a LayerNorm."""
    return [Rule(f'{theirs}.weight', (*ours, 'scale')), Rule(f'{theirs}.bias', (*ours, 'bias'))]


def dense(theirs: str, *ours: str) -> list[Rule]:
    """Kernel and bias of a linear map."""
    return [
        Rule(f'{theirs}.weight', (*ours, 'kernel'), 'transpose'),
        Rule(f'{theirs}.bias', (*ours, 'bias')),
    ]


_LLAMA_LAYER = f'model.layers.{LAYER}'

LLAMA: tuple[Rule, ...] = (
    Rule('model.embed_tokens.weight', ('llm', 'embed')),
    Rule('model.norm.weight', ('llm', 'norm', 'scale')),
    Rule('lm_head.weight', ('llm', 'head'), 'transpose'),
    Rule(f'{_LLAMA_LAYER}.input_layernorm.weight', ('llm', 'layers', 'attention_norm', 'scale')),
    Rule(f'{_LLAMA_LAYER}.post_attention_layernorm.weight', ('llm', 'layers', 'mlp_norm', 'scale')),
    *(
        Rule(
            f'{_LLAMA_LAYER}.{block}.{name}_proj.weight',
            ('llm', 'layers', name, 'kernel'),
            'transpose',
        )
        for block, names in (('self_attn', 'qkvo'), ('mlp', ('gate', 'up', 'down')))
        for name in names
    ),
)
"""A LLaMA in Hugging Face's names."""

LLAMA_IGNORED = (r'model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq',)
"""Buffers that older versions of transformers saved; they follow from the config."""

VISUAL_PROJECTOR: tuple[Rule, ...] = (
    *dense('model.mm_projector.0', 'visual_projector', 'fc_1'),
    *dense('model.mm_projector.2', 'visual_projector', 'fc_2'),
)
"""LLaVA-1.5's projector in the original layout."""

LLAVA_IGNORED = (r'model\.vision_tower\..*',)
"""Some LLaVA checkpoints repeat CLIP, which is frozen and comes from its own folder."""

_CLIP_LAYER = f'vision_model.encoder.layers.{LAYER}'

CLIP_VISION: tuple[Rule, ...] = (
    Rule('vision_model.embeddings.class_embedding', ('vision', 'class_embedding')),
    Rule('vision_model.embeddings.patch_embedding.weight', ('vision', 'patch_kernel'), 'patch'),
    Rule('vision_model.embeddings.position_embedding.weight', ('vision', 'position_embedding')),
    *norm('vision_model.pre_layrnorm', 'vision', 'pre_norm'),
    *norm(f'{_CLIP_LAYER}.layer_norm1', 'vision', 'layers', 'norm_1'),
    *norm(f'{_CLIP_LAYER}.layer_norm2', 'vision', 'layers', 'norm_2'),
    *dense(f'{_CLIP_LAYER}.self_attn.q_proj', 'vision', 'layers', 'q'),
    *dense(f'{_CLIP_LAYER}.self_attn.k_proj', 'vision', 'layers', 'k'),
    *dense(f'{_CLIP_LAYER}.self_attn.v_proj', 'vision', 'layers', 'v'),
    *dense(f'{_CLIP_LAYER}.self_attn.out_proj', 'vision', 'layers', 'o'),
    *dense(f'{_CLIP_LAYER}.mlp.fc1', 'vision', 'layers', 'fc_1'),
    *dense(f'{_CLIP_LAYER}.mlp.fc2', 'vision', 'layers', 'fc_2'),
)
"""CLIP's vision tower in Hugging Face's names."""

CLIP_IGNORED = (
    r'text_model\..*',
    r'(text|visual)_projection\.weight',
    r'logit_scale',
    r'vision_model\.embeddings\.position_ids',
    r'vision_model\.post_layernorm\.(weight|bias)',
)
"""CLIP's other half, and what lies behind the features that LLaVA uses."""


def clip_unused_layers(first: int, depth: int) -> tuple[str, ...]:
    """The layers from `first` on, of `depth`, which the chosen features don't need."""
    return tuple(rf'vision_model\.encoder\.layers\.{layer}\..*' for layer in range(first, depth))
