"""A rule: one tensor name of a foreign checkpoint, our path, and the axis operation between them.

Rules are data and invertible: the same table reads and writes, and the rules of an adapter follow
from those of the weights that it adapts. A table covers a checkpoint only if every tensor meets
exactly one rule or one stated reason to leave it out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from emola_jax.weights import lazy
from emola_jax.weights.lazy import Lazy

Path = tuple[str, ...]


class Shaped(Protocol):
    """An array, or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its dimensions."""
        ...


LAYER = '{layer}'
"""In a rule's name: the layer's number, which is the index on axis 0 of our stacked parameter."""

_LAYERS = 'layers'

# Operation -> axis order that turns their tensor into ours.
_ORDERS: dict[str, tuple[int, ...] | None] = {
    'copy': None,
    'transpose': (1, 0),
    'patch': (2, 3, 1, 0),
    'filter': (1, 2, 3, 0),
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """One correspondence.

    Attributes:
      theirs: tensor name, with `LAYER` where a layer's number stands.
      ours: path of our parameter; stacked over the layers if `theirs` has a layer.
      op: 'copy', 'transpose' ([out, in] <-> [in, out]), 'patch' ([D, 3, p, p] <-> [p, p, 3, D]) or
        'filter' ([out, h, w, in] <-> [h, w, in, out]).
      paired_heads: if not 0, their output rows are this many heads in which RoPE turns rows 2i and
        2i + 1 as a pair (llama.cpp); ours are i and i + H/2 (Hugging Face).
    """

    theirs: str
    ours: Path
    op: str = 'copy'
    paired_heads: int = 0

    @property
    def per_layer(self) -> bool:
        """Whether there is one tensor a layer."""
        return LAYER in self.theirs

    def name(self, layer: int | None = None) -> str:
        """Their tensor's name."""
        return self.theirs if layer is None else self.theirs.replace(LAYER, str(layer))

    def to_ours(self, tensor: Lazy) -> Lazy:
        """Their tensor in our order of rows and axes."""
        if self.paired_heads:
            tensor = lazy.permute_rows(tensor, self._rows(tensor.shape[0]))
        order = _ORDERS[self.op]
        return tensor if order is None else lazy.transpose(tensor, order)

    def to_theirs(self, tensor: Lazy) -> Lazy:
        """Our tensor (of one layer) in their order of rows and axes."""
        order = _ORDERS[self.op]
        if order is not None:
            tensor = lazy.transpose(tensor, np.argsort(order).tolist())
        if self.paired_heads:
            tensor = lazy.permute_rows(tensor, np.argsort(self._rows(tensor.shape[0])))
        return tensor

    def _rows(self, size: int) -> np.ndarray:
        pairs = np.arange(size).reshape(self.paired_heads, -1, 2)
        return pairs.swapaxes(1, 2).reshape(-1)


def prefixed(rules: Iterable[Rule], prefix: str) -> tuple[Rule, ...]:
    """The rules for names that have `prefix` in front."""
    return tuple(dataclasses.replace(rule, theirs=prefix + rule.theirs) for rule in rules)


def of_lora(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules of the adapters of every kernel that `rules` transpose.

    W x becomes W x + B A x, so A [R, in] shares the kernel's input axis and B [out, R] its output
    axis, with whatever order the output rows have.
    """
    adapted = [rule for rule in rules if rule.ours[-1] == 'kernel' and rule.op == 'transpose']

    def of(rule: Rule, side: str, paired_heads: int) -> Rule:
        name = rule.theirs.removesuffix('weight') + f'lora_{side}.weight'
        path = (*rule.ours[:-1], f'lora_{side.lower()}')
        return Rule(name, path, rule.op, paired_heads)

    return tuple(
        one for rule in adapted for one in (of(rule, 'A', 0), of(rule, 'B', rule.paired_heads))
    )


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one of their tensors goes: `path`, and there the index `layer` of axis 0 if given."""

    rule: Rule
    path: Path
    layer: int | None


def places(rules: Sequence[Rule], ours: Iterable[tuple[Path, Sequence[int]]]) -> dict[str, Place]:
    """Their tensor names, for parameters of the given paths and shapes.

    Rules whose parameter isn't among them are left out. Layers that lie one by one ('layers', '3',
    …) are found as well as stacked ones.

    Raises:
      KeyError: a parameter without a rule.
    """
    by_path = {rule.ours: rule for rule in rules}
    found: dict[str, Place] = {}
    for path, shape in ours:
        stacked, layer = _split_layer(path)
        rule = by_path[stacked]
        if layer is not None:
            found[rule.name(layer)] = Place(rule, path, None)
        elif rule.per_layer:
            found |= {rule.name(n): Place(rule, path, n) for n in range(shape[0])}
        else:
            found[rule.name()] = Place(rule, path, None)
    return found


def to_theirs(rules: Sequence[Rule], params: Mapping[Path, Lazy]) -> dict[str, Lazy]:
    """Our parameters as their tensors; each is read when it is asked for."""
    parts = {path: lazy.layers(value) for path, value in params.items() if _is_stacked(path)}
    named = {}
    for name, place in places(rules, _shapes(params)).items():
        own = params[place.path] if place.layer is None else parts[place.path][place.layer]
        named[name] = place.rule.to_theirs(own)
    return named


def to_ours(
    rules: Sequence[Rule],
    tensors: Mapping[str, Lazy],
    ours: Mapping[Path, Shaped],
    ignored: Sequence[str] = (),
) -> tuple[dict[Path, Lazy], list[str]]:
    """Their tensors as our parameters; each is read when it is asked for.

    Args:
      rules: the table; it must cover `ours`.
      tensors: what the checkpoint holds.
      ours: path -> something with a shape, of every parameter that it must give.
      ignored: patterns of tensors that are left out on purpose.

    Returns:
      (the parameters that are whole, in the types that are stored; one line for every tensor that
      is missing, left over or of another shape).
    """
    expected = places(rules, _shapes(ours))
    faults = [
        f'{name}: the model has no place for it'
        for name in tensors
        if name not in expected and not matches_any(name, ignored)
    ]
    parts: dict[Path, list[Lazy]] = {path: [] for path in ours}
    for name, place in expected.items():
        shape = their_shape(place, ours[place.path].shape)
        if name not in tensors:
            faults.append(f'{name}: missing')
        elif tensors[name].shape != shape:
            faults.append(f'{name}: has shape {tensors[name].shape}, expected {shape}')
        elif tensors[name].dtype.kind in 'biu':
            faults.append(
                f'{name}: holds {tensors[name].dtype.name} numbers, as quantised weights do; give '
                'the unquantised ones'
            )
        else:
            parts[place.path].append(place.rule.to_ours(tensors[name]))
    params = {}
    for path, found in parts.items():
        if _is_stacked(path) and len(found) == ours[path].shape[0]:
            params[path] = lazy.stack(found)
        elif not _is_stacked(path) and found:
            (params[path],) = found
    return params, sorted(faults)


def their_shape(place: Place, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape that their tensor must have for a parameter of ours of the given shape."""
    own = tuple(shape if place.layer is None else shape[1:])
    nothing = Lazy(own, np.dtype(np.float32), lambda _: np.zeros(()))
    return place.rule.to_theirs(nothing).shape


def matches_any(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the regular expressions describes the whole name."""
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _split_layer(path: Path) -> tuple[Path, int | None]:
    """('llm', 'layers', '3', 'q', 'kernel') -> (the same without '3', 3)."""
    if _LAYERS in path:
        after = path.index(_LAYERS) + 1
        if path[after].isdecimal():
            return path[:after] + path[after + 1 :], int(path[after])
    return path, None


def _is_stacked(path: Path) -> bool:
    return _LAYERS in path and _split_layer(path)[1] is None


def _shapes(values: Mapping[Path, Shaped]) -> Iterator[tuple[Path, Sequence[int]]]:
    return ((path, value.shape) for path, value in values.items())
