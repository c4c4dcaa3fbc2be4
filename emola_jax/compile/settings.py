"""Which of a config's values the compiled programs read, and so tell one sweep from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emola_jax.config.eval import EvalConfig
from emola_jax.files.json_values import JsonObject
from emola_jax.generation.sampler import Sampler
from emola_jax.models.config import EmolaConfig
from emola_jax.training.optimiser import OptimiserConfig

READ = (
    'model',
    'base.quantize',
    'data.image_size',
    'data.segments',
    'train.loss_chunk',
    'train.unroll',
    'train.accumulate',
    'train.optimiser',
    'eval.batch_size',
    'eval.max_new_tokens',
    'eval.sampler',
    'eval.unroll',
    'eval.merge',
)
"""Fields that shape the programs, but for those that each case of a sweep names itself."""

# Sections become records: a field that a later version adds with a default changes nothing.
_RECORDS: dict[str, Callable[[Any], object]] = {
    'model': EmolaConfig.from_config_dict,
    'train.optimiser': lambda section: OptimiserConfig(**section),
    'eval.max_new_tokens': lambda section: max(section.values()),
    'eval.sampler': lambda section: Sampler(**section),
}
_DEFAULTS = {'eval.unroll': EvalConfig.unroll, 'eval.merge': EvalConfig.merge}


def differing(one: JsonObject, other: JsonObject) -> list[str]:
    """The fields of `READ` in which two configs, as JSON holds them, differ."""
    return [name for name in READ if _at(one, name) != _at(other, name)]


def _at(config: JsonObject, name: str) -> object:
    """A field's value, comparable; None if the config lacks it."""
    value: object = config
    for key in name.split('.'):
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return _DEFAULTS.get(name)
    return _RECORDS[name](value) if name in _RECORDS else value
