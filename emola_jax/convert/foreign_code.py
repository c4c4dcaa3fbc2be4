"""What foreign configs say of code: it is never run, and never handed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIELDS = ('auto_map', 'custom_generate', 'custom_pipelines', 'trust_remote_code')
"""Fields by which transformers finds Python files, in the folder or on the hub."""
_KERNELS = 'attn_implementation'  # may name a repository of compiled kernels


def without_code(value: Any) -> Any:
    """The same JSON value without fields that name code, at any depth."""
    if isinstance(value, Mapping):
        return {
            field: without_code(inner)
            for field, inner in value.items()
            if field not in _FIELDS and not str(field).endswith(_KERNELS)
        }
    return [without_code(inner) for inner in value] if isinstance(value, list) else value
