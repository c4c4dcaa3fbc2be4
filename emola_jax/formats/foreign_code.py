"""What foreign configs say of code: it is never run, and never handed on."""

from __future__ import annotations

from collections.abc import Mapping

from emola_jax.files.json_values import JsonObject

_FIELDS = ('auto_map', 'custom_generate', 'custom_pipelines', 'trust_remote_code')
"""Fields by which transformers finds Python files, in the folder or on the hub."""
_KERNELS = 'attn_implementation'  # may name a repository of compiled kernels


def without_code(values: Mapping[str, object]) -> JsonObject:
    """The same JSON object without fields that name code, at any depth."""
    return {
        field: _inside(inner)
        for field, inner in values.items()
        if field not in _FIELDS and not str(field).endswith(_KERNELS)
    }


def _inside(value: object) -> object:
    if isinstance(value, Mapping):
        return without_code(value)
    return [_inside(inner) for inner in value] if isinstance(value, list) else value
