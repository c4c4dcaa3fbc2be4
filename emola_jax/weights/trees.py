"""Names for what JAX leaves untyped: nested parameters, and the path of a leaf in them."""

from __future__ import annotations

from typing import Any, TypeAlias

from jax.tree_util import KeyPath as KeyPath

Tree: TypeAlias = dict[str, Any]
"""Nested by module, leaves at the ends: arrays, or what stands for them (a `Lazy`, a shape, a box).

The one name for it everywhere; which leaves they are, a docstring says.
"""

Params = Tree
"""A tree whose leaves are the arrays of a model's parameters, or of a part of them."""
