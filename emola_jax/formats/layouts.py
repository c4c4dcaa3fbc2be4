"""The tables: how the checkpoints that exist name what we have.

LLaMA and CLIP have one set of names each; checkpoints differ in what stands in front of them. So a
layout is a handful of prefixes, and its rules follow.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from emola_jax.weights.rules import LAYER, Rule, of_lora, prefixed

LLM, VISION, VISUAL_PROJECTOR, PRIOR = 'llm', 'vision', 'visual_projector', 'face_prior'
MORE_PRIORS, EXPERT = 'more_priors', 'landmark_expert'
"""The parts of the model: the first name of every parameter's path."""

PART_NAMES = {
    LLM: 'language model',
    VISION: 'vision tower',
    VISUAL_PROJECTOR: 'visual projector',
    PRIOR: 'landmark projector',
    MORE_PRIORS: 'further landmark projectors',
    EXPERT: 'landmark expert',
}

PEFT_PREFIX = 'base_model.model.'
"""PEFT puts this in front of the name of the weight that an adapter belongs to."""


def _dense(theirs: str, *ours: str) -> tuple[Rule, ...]:
    return (
        Rule(f'{theirs}.weight', (*ours, 'kernel'), 'transpose'),
        Rule(f'{theirs}.bias', (*ours, 'bias')),
    )


def _norm(theirs: str, *ours: str) -> tuple[Rule, ...]:
    return Rule(f'{theirs}.weight', (*ours, 'scale')), Rule(f'{theirs}.bias', (*ours, 'bias'))


def _projector(names: tuple[str, str], *ours: str) -> tuple[Rule, ...]:
    return _dense(names[0], *ours, 'fc_1') + _dense(names[1], *ours, 'fc_2')


_LLAMA: tuple[Rule, ...] = (
    Rule('embed_tokens.weight', (LLM, 'embed')),
    Rule('norm.weight', (LLM, 'norm', 'scale')),
    *(
        Rule(f'layers.{LAYER}.{theirs}.weight', (LLM, 'layers', ours, 'scale'))
        for theirs, ours in (
            ('input_layernorm', 'attention_norm'),
            ('post_attention_layernorm', 'mlp_norm'),
        )
    ),
    *(
        Rule(
            f'layers.{LAYER}.{block}.{name}_proj.weight',
            (LLM, 'layers', name, 'kernel'),
            'transpose',
        )
        for block, names in (('self_attn', 'qkvo'), ('mlp', ('gate', 'up', 'down')))
        for name in names
    ),
)
"""The decoder stack of a LLaMA in Hugging Face's names, from inside `LlamaModel`."""

_CLIP_LAYER = f'encoder.layers.{LAYER}'

_CLIP: tuple[Rule, ...] = (
    Rule('embeddings.class_embedding', (VISION, 'class_embedding')),
    Rule('embeddings.patch_embedding.weight', (VISION, 'patch_kernel'), 'patch'),
    Rule('embeddings.position_embedding.weight', (VISION, 'position_embedding')),
    *_norm('pre_layrnorm', VISION, 'pre_norm'),
    *_norm(f'{_CLIP_LAYER}.layer_norm1', VISION, 'layers', 'norm_1'),
    *_norm(f'{_CLIP_LAYER}.layer_norm2', VISION, 'layers', 'norm_2'),
    *_dense(f'{_CLIP_LAYER}.self_attn.q_proj', VISION, 'layers', 'q'),
    *_dense(f'{_CLIP_LAYER}.self_attn.k_proj', VISION, 'layers', 'k'),
    *_dense(f'{_CLIP_LAYER}.self_attn.v_proj', VISION, 'layers', 'v'),
    *_dense(f'{_CLIP_LAYER}.self_attn.out_proj', VISION, 'layers', 'o'),
    *_dense(f'{_CLIP_LAYER}.mlp.fc1', VISION, 'layers', 'fc_1'),
    *_dense(f'{_CLIP_LAYER}.mlp.fc2', VISION, 'layers', 'fc_2'),
)
"""CLIP's vision tower in Hugging Face's names, from inside `CLIPVisionTransformer`."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """What stands in front of the names in one kind of checkpoint; None where it lacks the part.

    Attributes:
      name: for messages.
      body: before the decoder stack's names.
      head: the output matrix, without '.weight'.
      projector: the two maps of the visual projector.
      prior: the two maps of the landmark projector.
      standardize: mean and deviation of the landmarks.
      vision: before the vision tower's names.
    """

    name: str
    body: str | None = None
    head: str = 'lm_head'
    projector: tuple[str, str] | None = None
    prior: tuple[str, str] | None = None
    standardize: tuple[str, str] | None = None
    vision: str | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The table."""
        table: tuple[Rule, ...] = ()
        if self.body is not None:
            table += prefixed(_LLAMA, self.body)
            table += (Rule(f'{self.head}.weight', (LLM, 'head'), 'transpose'),)
        if self.projector is not None:
            table += _projector(self.projector, VISUAL_PROJECTOR)
        if self.prior is not None:
            table += _projector(self.prior, PRIOR, 'projector')
        if self.standardize is not None:
            mean, std = self.standardize
            table += Rule(mean, (PRIOR, 'mean')), Rule(std, (PRIOR, 'std'))
        if self.vision is not None:
            table += prefixed(_CLIP, self.vision)
        return table

    @property
    def lora_rules(self) -> tuple[Rule, ...]:
        """The table of an adapter on the decoder stack, in PEFT's names."""
        return of_lora(prefixed(prefixed(_LLAMA, self.body or ''), PEFT_PREFIX))

    def prefixes(self) -> dict[str, str]:
        """For every part that the layout has, what several of its tensors start with."""
        starts = {
            LLM: None if self.body is None else f'{self.body}layers.',
            VISION: None if self.vision is None else f'{self.vision}encoder.layers.',
            VISUAL_PROJECTOR: None if self.projector is None else f'{self.projector[0]}.',
            PRIOR: None if self.prior is None else f'{self.prior[0]}.',
        }
        return {part: start for part, start in starts.items() if start is not None}

    def parts_in(self, names: Iterable[str]) -> set[str]:
        """The parts of the model that the tensors of these names belong to."""
        there = tuple(names)
        return {
            part
            for part, start in self.prefixes().items()
            if any(name.startswith(start) for name in there)
        }

    @property
    def buffers(self) -> tuple[str, ...]:
        """Patterns of what older versions of transformers saved though it follows from the config.

        Left out when read, never written.
        """
        patterns = []
        if self.body is not None:
            body = re.escape(self.body)
            patterns.append(rf'{body}layers\.\d+\.self_attn\.rotary_emb\.inv_freq')
        if self.vision is not None:
            patterns.append(re.escape(self.vision) + r'embeddings\.position_ids')
        return tuple(patterns)


def _llava_hf(name: str, llm: str, head: str, outer: str, vision: str) -> Layout:
    projector = f'{outer}multi_modal_projector.linear_'
    return Layout(
        name,
        body=llm,
        head=head,
        projector=(f'{projector}1', f'{projector}2'),
        vision=f'{outer}{vision}',
    )


LLAMA = Layout('LLaMA', body='model.')
LLAVA = Layout(
    'LLaVA in its original layout',
    body='model.',
    projector=('model.mm_projector.0', 'model.mm_projector.2'),
    prior=('model.landmark_feature_projector.0', 'model.landmark_feature_projector.2'),
    vision='model.vision_tower.vision_tower.vision_model.',
)
LLAVA_HF = _llava_hf(
    'llava-hf',
    'language_model.model.',
    'language_model.lm_head',
    '',
    'vision_tower.vision_model.',
)
"""What the hub's llava-hf checkpoints hold, and every version of transformers reads."""
LLAVA_HF_SAVED_BY_5 = _llava_hf(
    'llava-hf as saved by transformers 5',
    'language_model.model.',
    'language_model.lm_head',
    '',
    'vision_tower.',
)
LLAVA_HF_MODULES = _llava_hf(
    'llava-hf in the module names of transformers 4.52',
    'model.language_model.',
    'lm_head',
    'model.',
    'vision_tower.vision_model.',
)
LLAVA_HF_MODULES_OF_5 = _llava_hf(
    'llava-hf in the module names of transformers 5',
    'model.language_model.',
    'lm_head',
    'model.',
    'vision_tower.',
)
EMOLA_HF = dataclasses.replace(
    LLAVA_HF_MODULES,
    name='EmoLA for transformers',
    prior=('model.landmark_projector.linear_1', 'model.landmark_projector.linear_2'),
    standardize=('model.landmark_mean', 'model.landmark_std'),
)
"""The merged folder that this project writes."""
CLIP = Layout('CLIP', vision='vision_model.')
CLIP_VISION = Layout("CLIP's vision tower alone", vision='')

LAYOUTS = (
    LLAMA,
    LLAVA,
    LLAVA_HF,
    LLAVA_HF_SAVED_BY_5,
    LLAVA_HF_MODULES,
    LLAVA_HF_MODULES_OF_5,
    EMOLA_HF,
    CLIP,
    CLIP_VISION,
)

CLIP_IGNORED = (r'text_model\..*', r'(text|visual)_projection\.weight', r'logit_scale')
"""CLIP's other half."""


def detect(names: Iterable[str]) -> Layout | None:
    """The layout that most of its parts are there of; None if no layout knows any of the names."""
    there = tuple(names)
    best = max(LAYOUTS, key=lambda layout: len(layout.parts_in(there)))
    return best if best.parts_in(there) else None


def detect_adapter(names: Iterable[str]) -> Layout | None:
    """The layout of the model that the adapter of these names belongs to; None if there's none."""
    bodies = {
        f'{PEFT_PREFIX}{layout.body}layers.': layout
        for layout in reversed(LAYOUTS)
        if layout.body is not None
    }
    return next((bodies[b] for name in names for b in bodies if name.startswith(b)), None)


def plain_adapter_name(name: str) -> str:
    """A LoRA tensor's name without the adapter's own, which only some versions of PEFT save."""
    return re.sub(r'(\.lora_[AB])\.\w+\.weight$', r'\1.weight', name)


def plain_trainable_name(name: str) -> str:
    """A name of EmoLA's non-LoRA files in the original layout of LLaVA.

    Depending on how training was started, one or more wrappers stand in front.
    """
    return re.sub(r'^(base_model\.)?(model\.)*', 'model.', name)
