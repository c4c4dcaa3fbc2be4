"""A rule: one tensor name of a foreign checkpoint, our path, and the axis operation between them.

Rules are data and invertible: the same table reads and writes. A table covers a checkpoint only if
every tensor meets exactly one rule or one stated reason to leave it out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Path = tuple[str, ...]

LAYER = '{layer}'
"""In a rule's name: the layer's number, which is the index on axis 0 of our stacked parameter."""

# Operation -> axis order that turns their tensor into ours.
_ORDERS: dict[str, tuple[int, ...] | None] = {
    'copy': None,
    'transpose': (1, 0),
    'patch': (2, 3, 1, 0),
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """One correspondence.

    Attributes:
      theirs: tensor name, with `LAYER` where a layer's number stands.
      ours: path of our parameter; stacked over the layers if `theirs` has a layer.
      op: 'copy', 'transpose' ([out, in] <-> [in, out]) or 'patch' ([D, 3, p, p] <-> [p, p, 3, D]).
    """

    theirs: str
    ours: Path
    op: str = 'copy'

    @property
    def per_layer(self) -> bool:
        """Whether there is one tensor a layer."""
        return LAYER in self.theirs

    def name(self, layer: int | None = None) -> str:
        """Their tensor's name."""
        return self.theirs if layer is None else self.theirs.replace(LAYER, str(layer))

    def to_ours(self, tensor: np.ndarray) -> np.ndarray:
        """Their axis order into ours (a view)."""
        order = _ORDERS[self.op]
        return tensor if order is None else tensor.transpose(order)

    def to_theirs(self, tensor: np.ndarray) -> np.ndarray:
        """Our axis order into theirs (a view)."""
        order = _ORDERS[self.op]
        return tensor if order is None else tensor.transpose(np.argsort(order))


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one of their tensors goes."""

    rule: Rule
    layer: int | None


def expand(
    rules: Sequence[Rule], ours: Mapping[Path, Sequence[int]]
) -> tuple[dict[str, Place], list[str]]:
    """Their tensor names, for a model of ours with the given shapes.

    Args:
      rules: the table; rules whose parameter the model doesn't have are left out.
      ours: path -> shape of every parameter that the checkpoint should give.

    Returns:
      (their name -> place, our parameters without a rule).
    """
    places: dict[str, Place] = {}
    covered = set()
    for rule in rules:
        if rule.ours not in ours:
            continue
        covered.add(rule.ours)
        layers: Iterable[int | None] = range(ours[rule.ours][0]) if rule.per_layer else (None,)
        places |= {rule.name(layer): Place(rule, layer) for layer in layers}
    return places, ['/'.join(path) for path in ours if path not in covered]


def their_shape(place: Place, ours: Mapping[Path, Sequence[int]]) -> tuple[int, ...]:
    """The shape that their tensor must have."""
    shape = tuple(ours[place.rule.ours])
    own = shape[1:] if place.layer is not None else shape
    order = _ORDERS[place.rule.op]
    return own if order is None else tuple(own[axis] for axis in np.argsort(order))


def matches_any(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the regular expressions describes the whole name."""
    return any(re.fullmatch(pattern, name) for pattern in patterns)
