"""Limits of a model that a foreign file describes, held before anything is built of it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TypeGuard

from emola_jax.errors import UserError
from emola_jax.models.config import (
    EmolaConfig,
    LlamaConfig,
    LoraConfig,
    PriorConfig,
    QuantConfig,
    VisionConfig,
)

Part = LlamaConfig | VisionConfig | PriorConfig | LoraConfig | QuantConfig

MOST_LAYERS = 1024
_MOST = {
    'vocab': 1 << 22,
    'width': 1 << 17,
    'layers': MOST_LAYERS,
    'heads': 1 << 12,
    'kv_heads': 1 << 12,
    'head_dim': 1 << 14,
    'mlp': 1 << 20,
    'image_size': 1 << 13,
    'patch_size': 1 << 10,
    'spatial_merge': 64,
    'inputs': 1 << 16,
    'hidden': 1 << 17,
    'rank': 1 << 15,
    'block': 1 << 16,
}
"""Largest value of a whole number, several times that of any model there is."""
_LARGEST = 1e12
_SIGNED = ('feature_layer',)
_FROM_ZERO = ('dropout',)


def check(path: Path, model: EmolaConfig) -> None:
    """Raises UserError if a model has fields of another type, or sizes beyond the limits."""
    if found := faults(model):
        raise UserError(f'{path}: describes a model that is not read:\n  ' + '\n  '.join(found))


def faults(model: EmolaConfig) -> list[str]:
    """One line for each field of another type, or beyond the limits."""
    found = _of_record(model, '')
    for name in ('llm', 'vision', 'prior', 'lora', 'quantize'):
        if (part := getattr(model, name)) is not None:
            if isinstance(part, Part):
                found += _of_record(part, f'{name}.')
            else:
                found.append(f'{name} is {_shown(part)}, expected an object')
    for name, prior in model.more_priors:
        found += _of_record(prior, f'more_priors.{_shown(name)}.')
    return found


def _of_record(record: EmolaConfig | Part, prefix: str) -> list[str]:
    found = []
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        expected = _expected(field.name, field.default, value)
        if expected:
            found.append(f'{prefix}{field.name} is {_shown(value)}, expected {expected}')
    return found


def _is_number(value: object) -> TypeGuard[int | float]:
    return type(value) in (int, float)


def _is_colour(value: object) -> bool:
    return _is_number(value) and 0 < value < math.inf


def _expected(name: str, default: object, value: object) -> str:
    """What a field should hold, if it does not; '' if it does."""
    if name in _MOST and not (value is None and default is None):
        inside = type(value) is int and 1 <= value <= _MOST[name]
        return '' if inside else f'a whole number from 1 to {_MOST[name]}'
    if name in _SIGNED:
        return '' if type(value) is int else 'a whole number'
    if isinstance(default, bool):
        return '' if isinstance(value, bool) else 'true or false'
    if isinstance(default, float) or (name == 'projector_rms' and value is not None):
        least = 0.0 if name in _FROM_ZERO else 1e-12
        inside = _is_number(value) and least <= value <= _LARGEST
        return '' if inside else 'a number above 0'
    if name in ('image_mean', 'image_std'):
        if isinstance(value, tuple) and len(value) == 3 and all(map(_is_colour, value)):
            return ''
        return 'three numbers above 0'
    if isinstance(default, str) and not isinstance(value, str):
        return 'a text'
    return ''


def _shown(value: object) -> str:
    return f'{value!r:.40}'
