"""The config.json files of LLaVA, CLIP and LLaMA as our configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.files import read_json
from emola_jax.models.config import EmolaConfig, LlamaConfig, PriorConfig, VisionConfig

Json = Mapping[str, Any]

CONFIG_FILE = 'config.json'
TOWER_FIELD = 'mm_vision_tower'
"""Field of LLaVA's config: path or hub id of CLIP."""

TEMPLATE_FIELD = 'conversation_template'
"""Field that this project adds to the configs that it writes."""

# Defaults of transformers: checkpoints leave out what equals them.
_LLAMA_DEFAULTS: dict[str, Any] = {
    'vocab_size': 32000,
    'hidden_size': 4096,
    'intermediate_size': 11008,
    'num_hidden_layers': 32,
    'num_attention_heads': 32,
    'rms_norm_eps': 1e-6,
    'tie_word_embeddings': False,
}
_CLIP_DEFAULTS: dict[str, Any] = {
    'hidden_size': 768,
    'intermediate_size': 3072,
    'num_hidden_layers': 12,
    'num_attention_heads': 12,
    'image_size': 224,
    'patch_size': 32,
    'layer_norm_eps': 1e-5,
}

# Field -> the values that mean what we compute; a field left out has the first.
_LLAMA_MUST = {'hidden_act': ('silu',), 'attention_bias': (False,), 'mlp_bias': (False,)}
_CLIP_MUST = {'hidden_act': ('quick_gelu',), 'num_channels': (3,)}
_LLAVA_MUST = {
    'mm_projector_type': ('mlp2x_gelu',),
    'mm_vision_select_feature': ('patch',),
    'mm_use_im_start_end': (False,),
    'mm_use_im_patch_token': (False,),
    'image_aspect_ratio': ('pad', 'square'),
}
_LLAVA_HF_MUST = {
    'projector_hidden_act': ('gelu',),
    'vision_feature_select_strategy': ('default',),
    'multimodal_projector_bias': (True,),
}

KNOWN_TOWERS = {
    'openai/clip-vit-large-patch14-336': VisionConfig(),
    'openai/clip-vit-large-patch14': VisionConfig(image_size=224),
}
"""The vision towers of LLaVA, whose sizes need no file to be known."""


def read_model(folder: Path, vision: VisionConfig | None) -> EmolaConfig:
    """The model that a folder's config.json describes, without adapter.

    Args:
      folder: of LLaVA in either layout, EmoLA or a plain LLaMA.
      vision: the tower where it isn't described there (`feature_layer` is taken from there).

    Raises:
      UserError: no such file, or it describes what this model can't compute (lists all of it).
    """
    path = folder / CONFIG_FILE
    values = read_json(path)
    refuse_quantised(path, values)
    faults: list[str] = []
    if 'text_config' in values:
        _check(values, _LLAVA_HF_MUST, faults)
        model = _of_transformers(values, faults)
    else:
        model = _of_llava(values, vision, faults)
    if faults:
        raise UserError(f'{path}: describes a model that this is not:\n  ' + '\n  '.join(faults))
    return model


def refuse_quantised(path: Path, values: Json) -> None:
    """Refuses a model whose weights are stored quantised.

    Raises:
      UserError: config.json says so; names the method.
    """
    inner = values.get('text_config')
    said = values.get('quantization_config') or (
        inner.get('quantization_config') if isinstance(inner, dict) else None
    )
    if not said:
        return
    method = said.get('quant_method') if isinstance(said, dict) else None
    if method is None and isinstance(said, dict) and {'load_in_8bit', 'load_in_4bit'} & said.keys():
        method = 'bitsandbytes'  # its older files name no method
    raise UserError(
        f'{path.parent}: quantised by {method or "an unnamed method"}; give the unquantised weights'
    )


def _of_transformers(values: Json, faults: list[str]) -> EmolaConfig:
    """From llava-hf's config, or from that of the merged folder that this project writes."""
    text = {'tie_word_embeddings': values.get('tie_word_embeddings', False)}
    inputs = values.get('landmark_inputs', 0)
    prior = PriorConfig(enabled=False)
    if inputs:
        prior = PriorConfig(
            inputs=inputs,
            hidden=values.get('landmark_hidden'),
            standardize=values.get('landmark_standardize', False),
        )
    return EmolaConfig(
        llm=_llama({**text, **values['text_config']}, faults),
        vision=dataclasses.replace(
            _vision(values.get('vision_config', {}), values, faults),
            spatial_merge=values.get('spatial_merge', 1),
        ),
        prior=prior,
        projector_rms=values.get('projector_rms'),
        lora=None,
    )


def _of_llava(values: Json, vision: VisionConfig | None, faults: list[str]) -> EmolaConfig:
    """From the original layout's config, EmoLA's, or a plain LLaMA's."""
    is_llava = 'mm_projector_type' in values or TOWER_FIELD in values
    inputs = values.get('landmark_feature_hidden_size')
    if is_llava:
        _check(values, _LLAVA_MUST, faults)
    return EmolaConfig(
        llm=_llama(values, faults),
        vision=_with_layer(vision, values) if is_llava else None,
        prior=PriorConfig(enabled=inputs is not None, inputs=inputs or PriorConfig.inputs),
        lora=None,
    )


def read_vision(folder: Path) -> VisionConfig:
    """The vision tower that CLIP's folder describes.

    Raises:
      UserError: no such file, or another kind of tower.
    """
    path = folder / CONFIG_FILE
    values = read_json(path)
    if 'clip' not in str(values.get('model_type', 'clip')):
        raise UserError(f'{path}: model_type is {values["model_type"]!r}, expected CLIP')
    faults: list[str] = []
    vision = _vision(values.get('vision_config', values), {}, faults)
    if faults:
        raise UserError(f'{path}: describes a tower that this is not:\n  ' + '\n  '.join(faults))
    processor = folder / 'preprocessor_config.json'
    if not processor.is_file():
        return vision
    pixels = read_json(processor)
    return dataclasses.replace(
        vision,
        image_mean=tuple(pixels.get('image_mean', vision.image_mean)),
        image_std=tuple(pixels.get('image_std', vision.image_std)),
    )


def _llama(values: Json, faults: list[str]) -> LlamaConfig:
    _check(values, _LLAMA_MUST, faults)
    known = {**_LLAMA_DEFAULTS, **values}
    heads = known['num_attention_heads']
    return LlamaConfig(
        vocab=known['vocab_size'],
        width=known['hidden_size'],
        layers=known['num_hidden_layers'],
        heads=heads,
        kv_heads=known.get('num_key_value_heads') or heads,
        head_dim=known.get('head_dim') or known['hidden_size'] // heads,
        mlp=known['intermediate_size'],
        rope_theta=_rope_theta(values, faults),
        norm_eps=known['rms_norm_eps'],
        tied_embeddings=known['tie_word_embeddings'],
    )


def _rope_theta(values: Json, faults: list[str]) -> float:
    """Transformers 5 keeps what belongs to RoPE in a field of its own."""
    rope = values.get('rope_parameters') or {}
    scaling = values.get('rope_scaling') or rope
    kind = scaling.get('rope_type', scaling.get('type', 'default'))
    if kind != 'default':
        faults.append(f'rope_scaling is of type {kind!r}; only unscaled RoPE is supported')
    return float(rope.get('rope_theta') or values.get('rope_theta') or 10000.0)


def _vision(values: Json, llava: Json, faults: list[str]) -> VisionConfig:
    _check(values, _CLIP_MUST, faults)
    known = {**_CLIP_DEFAULTS, **values}
    vision = VisionConfig(
        image_size=known['image_size'],
        patch_size=known['patch_size'],
        width=known['hidden_size'],
        layers=known['num_hidden_layers'],
        heads=known['num_attention_heads'],
        mlp=known['intermediate_size'],
        norm_eps=known['layer_norm_eps'],
        feature_layer=-1,
    )
    layer = llava.get('vision_feature_layer', -2)
    if not isinstance(layer, int):
        faults.append(f'vision_feature_layer is {layer!r}; only one layer is supported')
        return vision
    return dataclasses.replace(vision, feature_layer=layer)


def _with_layer(vision: VisionConfig | None, llava: Json) -> VisionConfig | None:
    if vision is None:
        return None
    return dataclasses.replace(vision, feature_layer=llava.get('mm_vision_select_layer', -2))


def _check(values: Json, must: Mapping[str, tuple[Any, ...]], faults: list[str]) -> None:
    for field, allowed in must.items():
        value = values.get(field, allowed[0])
        if value not in allowed:
            faults.append(f'{field} is {value!r}, expected {" or ".join(map(repr, allowed))}')
