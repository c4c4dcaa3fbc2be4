"""A model as it was found, whatever format it was found in: what every writer starts from."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.formats.layouts import PART_NAMES, PRIOR, VISUAL_PROJECTOR
from emola_jax.models.config import EmolaConfig, LoraConfig
from emola_jax.models.lora import merge_kernel
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights import lazy
from emola_jax.weights.lazy import Index, Lazy
from emola_jax.weights.rules import Path as ParamPath

PAPERS_TEMPLATE = 'vicuna_v1'
"""The conversation template of LLaVA-1.5 and EmoLA, whose files don't name it."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What was found; no tensor is read yet.

    Attributes:
      folder: where.
      kind: what it is, for reports.
      model: sizes, with `lora` if there is an adapter.
      params: path -> parameter. All of them, or those of adapter and projectors alone.
      template: name of the conversation template.
      base: path or hub id of the model that an adapter belongs to.
      tokenizer: a folder with the tokenizer's files, if it has such files.
      load_tokenizer: loads the tokenizer, if there is one.
      foreign: its config.json, for the fields that we don't have.
    """

    folder: Path
    kind: str
    model: EmolaConfig
    params: Mapping[ParamPath, Lazy]
    template: str = PAPERS_TEMPLATE
    base: str | None = None
    tokenizer: Path | None = None
    load_tokenizer: Callable[[], Tokenizer] | None = None
    foreign: JsonObject = dataclasses.field(default_factory=dict)


def describe(source: Source) -> list[str]:
    """Which tensors come from which file: one line per file, with counts per part of the model."""
    counts: dict[str, collections.Counter[str]] = {}
    for path, value in source.params.items():
        tensors = value.layers or (value,)
        for tensor in tensors:
            counts.setdefault(tensor.origin, collections.Counter())[_part(path)] += 1
    return [
        f'{origin or "in memory"}: {parts.total()} tensors '
        f'({", ".join(f"{part} {count}" for part, count in sorted(parts.items()))})'
        for origin, parts in sorted(counts.items())
    ]


def _part(path: ParamPath) -> str:
    if path[-1] in ('lora_a', 'lora_b'):
        return 'LoRA'
    return PART_NAMES[path[0]]


def trained(source: Source) -> tuple[dict[ParamPath, Lazy], dict[ParamPath, Lazy]]:
    """(the adapter's parameters, those of the projectors)."""
    lora = {p: value for p, value in source.params.items() if p[-1] in ('lora_a', 'lora_b')}
    parts = (VISUAL_PROJECTOR, PRIOR)
    return lora, {p: value for p, value in source.params.items() if p[0] in parts}


def merged(source: Source) -> Source:
    """The same model with its adapter added to the kernels, each when it is read."""
    lora = source.model.lora
    if lora is None:
        return source
    params = {}
    for path, value in source.params.items():
        a, b = ((*path[:-1], f'lora_{side}') for side in 'ab')
        if path[-1] == 'kernel' and a in source.params:
            params[path] = _merge(value, source.params[a], source.params[b], lora)
        elif path[-1] not in ('lora_a', 'lora_b'):
            params[path] = value
    return dataclasses.replace(source, params=params, model=source.model.replace(lora=None))


def _merge(kernel: Lazy, a: Lazy, b: Lazy, lora: LoraConfig) -> Lazy:
    if len(kernel.shape) == 3:
        parts = zip(lazy.layers(kernel), lazy.layers(a), lazy.layers(b), strict=True)
        return lazy.stack([_merge(w, a, b, lora) for w, a, b in parts])

    def read(index: Index) -> np.ndarray:
        rows, columns = index
        w, down, up = kernel.read(index), a.piece([rows]), b.piece([slice(None), columns])
        return np.asarray(merge_kernel(jnp.asarray(w), jnp.asarray(down), jnp.asarray(up), lora))

    return dataclasses.replace(kernel, read=read)


def beyond_one_prior(model: EmolaConfig) -> list[str]:
    """What of a model's priors no format of other people has a place for."""
    found = []
    if any(prior.place != 'after' for prior in model.priors):
        found.append('has a prior token before the patches')
    if len(model.priors) > int(model.prior.enabled):
        found.append(f'has further priors ({", ".join(name for name, _ in model.more_priors)})')
    if model.computes_landmarks:
        found.append('computes landmarks from the image')
    return found


def check_priors(model: EmolaConfig, to: str) -> None:
    """Refuses priors that only our own runs hold.

    Raises:
      UserError: names what is in the way of the format `to`.
    """
    if found := beyond_one_prior(model):
        raise UserError(
            f'--to={to} cannot express this model, which {" and ".join(found)}; --to=llava-hf '
            'leaves the priors out'
        )


def refuse(faults: list[str], what: str) -> None:
    """Raises a UserError that lists `faults`, if there are any."""
    if faults:
        raise UserError(f'{what}:\n  ' + '\n  '.join(faults))
