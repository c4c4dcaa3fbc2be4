"""The config.json files of LLaVA, CLIP and LLaMA as our configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json
from emola_jax.formats import sizes
from emola_jax.models.config import EmolaConfig, LlamaConfig, PriorConfig, VisionConfig

CONFIG_FILE = 'config.json'
TOWER_FIELD = 'mm_vision_tower'
"""Field of LLaVA's config: path or hub id of CLIP."""

TEMPLATE_FIELD = 'conversation_template'
"""Field that this project adds to the configs that it writes."""

# Defaults of transformers: checkpoints leave out what equals them.
_LLAMA_DEFAULTS: JsonObject = {
    'vocab_size': 32000,
    'hidden_size': 4096,
    'intermediate_size': 11008,
    'num_hidden_layers': 32,
    'num_attention_heads': 32,
    'rms_norm_eps': 1e-6,
    'tie_word_embeddings': False,
    'num_key_value_heads': None,
    'head_dim': None,
}
_CLIP_DEFAULTS: JsonObject = {
    'hidden_size': 768,
    'intermediate_size': 3072,
    'num_hidden_layers': 12,
    'num_attention_heads': 12,
    'image_size': 224,
    'patch_size': 32,
    'layer_norm_eps': 1e-5,
}


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What a field may hold: in words, and as a test."""

    what: str
    holds: Callable[[object], bool]


_LARGEST = 1e12


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and isinstance(value, int | float) and 0 < value < _LARGEST


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value < _LARGEST


def _is_colour(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))


_SIZE = _Kind('a number of at least 1', _is_size)
_OPTIONAL_SIZE = _Kind('a number of at least 1, or null', lambda v: v is None or _is_size(v))
_COUNT = _Kind('a number of at least 0', lambda v: type(v) is int and 0 <= v < _LARGEST)
_NUMBER = _Kind('a number above 0', _is_number)
_OPTIONAL_NUMBER = _Kind('a number above 0, or null', lambda v: v is None or _is_number(v))
_FLAG = _Kind('true or false', lambda v: isinstance(v, bool))
_COLOUR = _Kind('three numbers above 0', _is_colour)

_LLAMA_KINDS = {
    'vocab_size': _SIZE,
    'hidden_size': _SIZE,
    'intermediate_size': _SIZE,
    'num_hidden_layers': _SIZE,
    'num_attention_heads': _SIZE,
    'num_key_value_heads': _OPTIONAL_SIZE,
    'head_dim': _OPTIONAL_SIZE,
    'rms_norm_eps': _NUMBER,
    'tie_word_embeddings': _FLAG,
}
_CLIP_KINDS = {
    'hidden_size': _SIZE,
    'intermediate_size': _SIZE,
    'num_hidden_layers': _SIZE,
    'num_attention_heads': _SIZE,
    'image_size': _SIZE,
    'patch_size': _SIZE,
    'layer_norm_eps': _NUMBER,
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
    try:
        if values.get('text_config') is not None:
            _check(values, _LLAVA_HF_MUST, faults)
            model = _of_transformers(values, faults)
        else:
            model = _of_llava(values, vision, faults)
        faults += sizes.faults(model)
    except UserError as error:  # sizes that do not go together
        faults.append(str(error))
    if faults:
        raise UserError(f'{path}: describes a model that this is not:\n  ' + '\n  '.join(faults))
    return model


def refuse_quantised(path: Path, values: JsonObject) -> None:
    """Raises UserError if a config says that the weights are codes of another library."""
    parts = [values, *(values.get(part) for part in ('text_config', 'llm_config'))]
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        for field in ('quantization_config', 'compression_config'):
            if not (found := part.get(field)):
                continue
            method = found.get('quant_method') if isinstance(found, Mapping) else None
            if method is None and isinstance(found, Mapping):
                bits = any(found.get(name) for name in ('load_in_4bit', 'load_in_8bit'))
                method = 'bitsandbytes' if bits else None
            raise UserError(
                f'{path.parent}: quantised by {method or "an unnamed method"}; give the '
                'unquantised weights'
            )


def _of_transformers(values: JsonObject, faults: list[str]) -> EmolaConfig:
    """From llava-hf's config, or from that of the merged folder that this project writes."""
    text = {'tie_word_embeddings': values.get('tie_word_embeddings', False)}
    inputs = _checked(values, {'landmark_inputs': _COUNT}, {'landmark_inputs': 0}, faults)
    prior = PriorConfig(enabled=False)
    if inputs['landmark_inputs']:
        optional = {'landmark_hidden': None, 'landmark_standardize': False}
        kinds = {'landmark_hidden': _OPTIONAL_SIZE, 'landmark_standardize': _FLAG}
        more = _checked(values, kinds, optional, faults)
        prior = PriorConfig(
            inputs=inputs['landmark_inputs'],
            hidden=more['landmark_hidden'],
            standardize=more['landmark_standardize'],
        )
    kinds = {'spatial_merge': _SIZE, 'projector_rms': _OPTIONAL_NUMBER}
    ours = _checked(values, kinds, {'spatial_merge': 1, 'projector_rms': None}, faults)
    return EmolaConfig(
        llm=_llama({**text, **_object(values, 'text_config', faults)}, faults),
        vision=dataclasses.replace(
            _vision(_object(values, 'vision_config', faults), values, faults),
            spatial_merge=ours['spatial_merge'],
        ),
        prior=prior,
        projector_rms=ours['projector_rms'],
        lora=None,
    )


def _of_llava(values: JsonObject, vision: VisionConfig | None, faults: list[str]) -> EmolaConfig:
    """From the original layout's config, EmoLA's, or a plain LLaMA's."""
    is_llava = 'mm_projector_type' in values or TOWER_FIELD in values
    field = 'landmark_feature_hidden_size'
    inputs = _checked(values, {field: _OPTIONAL_SIZE}, {field: None}, faults)[field]
    if is_llava:
        _check(values, _LLAVA_MUST, faults)
    return EmolaConfig(
        llm=_llama(values, faults),
        vision=_with_layer(vision, values, faults) if is_llava else None,
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
    refuse_quantised(path, values)
    if 'clip' not in str(values.get('model_type', 'clip')):
        raise UserError(f'{path}: model_type is {values["model_type"]!r}, expected CLIP')
    faults: list[str] = []
    nested = _object(values, 'vision_config', faults) if 'vision_config' in values else values
    try:
        vision = _vision(nested, {}, faults)
        faults += sizes.faults(EmolaConfig(vision=vision, lora=None))
    except UserError as error:
        faults.append(str(error))
    if faults:
        raise UserError(f'{path}: describes a tower that this is not:\n  ' + '\n  '.join(faults))
    processor = folder / 'preprocessor_config.json'
    if not processor.is_file():
        return vision
    given = {'image_mean': vision.image_mean, 'image_std': vision.image_std}
    pixels = _checked(read_json(processor), dict.fromkeys(given, _COLOUR), given, faults)
    if faults:
        raise UserError(f'{processor}: {"; ".join(faults)}')
    mean, std = (tuple(pixels[name]) for name in given)
    return dataclasses.replace(vision, image_mean=mean, image_std=std)


def _llama(values: JsonObject, faults: list[str]) -> LlamaConfig:
    _check(values, _LLAMA_MUST, faults)
    known = _checked(values, _LLAMA_KINDS, _LLAMA_DEFAULTS, faults)
    heads = known['num_attention_heads']
    return LlamaConfig(
        vocab=known['vocab_size'],
        width=known['hidden_size'],
        layers=known['num_hidden_layers'],
        heads=heads,
        kv_heads=known['num_key_value_heads'] or heads,
        head_dim=known['head_dim'] or known['hidden_size'] // heads,
        mlp=known['intermediate_size'],
        rope_theta=_rope_theta(values, faults),
        norm_eps=float(known['rms_norm_eps']),
        tied_embeddings=known['tie_word_embeddings'],
    )


def _rope_theta(values: JsonObject, faults: list[str]) -> float:
    """Transformers 5 keeps what belongs to RoPE in a field of its own."""
    rope: JsonObject = {}
    scaling: JsonObject = {}
    for field in ('rope_parameters', 'rope_scaling'):
        value = values.get(field)
        if value is not None and not isinstance(value, dict):
            faults.append(f'{field} is {value!r:.60}, expected an object')
        elif value:
            scaling = value
            rope = value if field == 'rope_parameters' else rope
    kind = scaling.get('rope_type', scaling.get('type', 'default'))
    if kind != 'default':
        faults.append(f'rope_scaling is of type {kind!r}; only unscaled RoPE is supported')
    theta = rope.get('rope_theta') or values.get('rope_theta') or 10000.0
    if not _NUMBER.holds(theta):
        faults.append(f'rope_theta is {theta!r}, expected {_NUMBER.what}')
        return 10000.0
    return float(theta)


def _vision(values: JsonObject, llava: JsonObject, faults: list[str]) -> VisionConfig:
    _check(values, _CLIP_MUST, faults)
    known = _checked(values, _CLIP_KINDS, _CLIP_DEFAULTS, faults)
    vision = VisionConfig(
        image_size=known['image_size'],
        patch_size=known['patch_size'],
        width=known['hidden_size'],
        layers=known['num_hidden_layers'],
        heads=known['num_attention_heads'],
        mlp=known['intermediate_size'],
        norm_eps=float(known['layer_norm_eps']),
        feature_layer=-1,
    )
    return dataclasses.replace(vision, feature_layer=_layer(llava, 'vision_feature_layer', faults))


def _layer(values: JsonObject, field: str, faults: list[str]) -> int:
    layer = values.get(field, -2)
    if type(layer) is not int:
        faults.append(f'{field} is {layer!r}; only one layer is supported')
        return -2
    return layer


def _with_layer(
    vision: VisionConfig | None, llava: JsonObject, faults: list[str]
) -> VisionConfig | None:
    layer = _layer(llava, 'mm_vision_select_layer', faults)
    return None if vision is None else dataclasses.replace(vision, feature_layer=layer)


def _object(values: JsonObject, field: str, faults: list[str]) -> JsonObject:
    value = values.get(field, {})
    if isinstance(value, dict):
        return value
    faults.append(f'{field} is {value!r:.60}, expected an object')
    return {}


def _checked(
    values: JsonObject, kinds: Mapping[str, _Kind], defaults: JsonObject, faults: list[str]
) -> JsonObject:
    """The fields of `kinds`; one of another type is a fault, and stands as its default."""
    found = {}
    for field, kind in kinds.items():
        value = values.get(field, defaults[field])
        if not kind.holds(value):
            faults.append(f'{field} is {value!r:.60}, expected {kind.what}')
            value = defaults[field]
        found[field] = value
    return found


def _check(values: JsonObject, must: Mapping[str, tuple[object, ...]], faults: list[str]) -> None:
    for field, allowed in must.items():
        value = values.get(field, allowed[0])
        if not any(value == one for one in allowed):
            faults.append(f'{field} is {value!r:.60}, expected {" or ".join(map(repr, allowed))}')
