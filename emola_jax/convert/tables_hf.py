"""The tables of what transformers loads: the merged EmoLA folder, and a plain LLaVA without prior.

Both hold the vision tower's used layers only, as `num_hidden_layers` of their configs says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from emola_jax.convert import tables
from emola_jax.convert.rules import Rule


def _renamed(rules: Sequence[Rule], old: str, new: str) -> list[Rule]:
    """The rules with another beginning of their names; those that begin otherwise stay."""
    return [
        dataclasses.replace(rule, theirs=new + rule.theirs.removeprefix(old))
        if rule.theirs.startswith(old)
        else rule
        for rule in rules
    ]


def _projector(theirs: str, *ours: str) -> list[Rule]:
    return [
        *tables.dense(f'{theirs}.linear_1', *ours, 'fc_1'),
        *tables.dense(f'{theirs}.linear_2', *ours, 'fc_2'),
    ]


EMOLA_HF: tuple[Rule, ...] = (
    *_renamed(tables.LLAMA, 'model.', 'model.language_model.'),
    *_renamed(tables.CLIP_VISION, '', 'model.vision_tower.'),
    *_projector('model.multi_modal_projector', 'visual_projector'),
    *_projector('model.landmark_projector', 'face_prior', 'projector'),
    Rule('model.landmark_mean', ('face_prior', 'mean')),
    Rule('model.landmark_std', ('face_prior', 'std')),
)
"""The `hf` folder, as its modeling file reads it."""

LLAVA_HF: tuple[Rule, ...] = (
    *_renamed(tables.LLAMA, '', 'language_model.'),
    *_renamed(tables.CLIP_VISION, '', 'vision_tower.'),
    *_projector('multi_modal_projector', 'visual_projector'),
)
"""Plain LLaVA in the first of llava-hf's layouts, which every version of transformers reads (and
newer ones still write)."""

LLAVA_HF_UNUSED = {
    'vision_tower.vision_model.post_layernorm.weight': 1.0,
    'vision_tower.vision_model.post_layernorm.bias': 0.0,
}
"""Tensors [vision width] that the class insists on and LLaVA never uses (the norm of CLIP's class
token), with what fills them. The EmoLA folder's own class has none."""

LLAVA_HF_PADDED = ('language_model.model.embed_tokens.weight', 'language_model.lm_head.weight')
"""Tensors that get a row for the image placeholder where the vocabulary has no room for it. Plain
LLaVA looks the placeholder up before it overwrites what it found."""
