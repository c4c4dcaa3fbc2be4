"""`base.quantize` of a config: None, a name of `PRESETS`, or the fields of `QuantConfig`."""

from __future__ import annotations

from collections.abc import Mapping

from emola_jax.errors import UserError
from emola_jax.models.config import EmolaConfig, QuantConfig

PRESETS = {
    'int8': QuantConfig(layers='int8', ends='int8', vision='int8'),
    'nf4': QuantConfig(layers='nf4', ends='nf4', vision='int8'),
    'nf4_fine': QuantConfig(layers='nf4', ends='nf4', vision='int8', block=16),
}
"""What `base.quantize` may name; `nf4_fine` is for small models, which bear 4 bits badly."""


def quantization(asked: object) -> QuantConfig | None:
    """What `base.quantize` asks for.

    Raises:
      UserError: a name that isn't in `PRESETS`, or a field or value that `QuantConfig` refuses.
    """
    if asked is None:
        return None
    if isinstance(asked, str):
        if asked not in PRESETS:
            raise UserError(f'base.quantize is {asked!r}; expected None or one of {list(PRESETS)}')
        return PRESETS[asked]
    if not isinstance(asked, Mapping):
        raise UserError(f'base.quantize is {asked!r}; expected a name or fields')
    return EmolaConfig.from_config_dict({'quantize': asked}).quantize
