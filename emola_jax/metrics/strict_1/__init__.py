"""The strict reader of answers as it was first released ("strict-1"), frozen.

Scores that were published with it can be computed again: `--reader=strict-1`.
"""

from __future__ import annotations

from emola_jax.metrics.strict_1 import action_units
from emola_jax.metrics.strict_1.emotions import strict_emotion as emotion

__all__ = ['aus', 'emotion']


def aus(text: str) -> frozenset[int] | None:
    """FACS numbers that `text` affirms; None if it says nothing about action units."""
    return None if action_units.is_unparsed(text) else action_units.strict_aus(text)
