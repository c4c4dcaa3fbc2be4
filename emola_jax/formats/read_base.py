"""Reads a whole model (LLaVA in any layout, CLIP, LLaMA) as lazy parameters of ours."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from emola_jax.formats import layouts as tables
from emola_jax.formats.layouts import LLM, PRIOR, VISION, VISUAL_PROJECTOR, Layout
from emola_jax.models.config import EmolaConfig, VisionConfig
from emola_jax.models.emola import param_shapes
from emola_jax.weights import read_files, rules
from emola_jax.weights.lazy import Lazy
from emola_jax.weights.rules import Path as ParamPath

_QUANTISED = re.compile(
    r'\.(absmax|quant_map|quant_state\..*|SCB|qweight|qzeros|g_idx|weight_packed|weight_scale(_inv)?)$'
)
"""Tensors that bitsandbytes, GPTQ, AWQ, fp8 and compressed-tensors store with their weights."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a folder gives.

    Attributes:
      params: path -> parameter; nothing is read yet.
      faults: one line for each tensor or file at fault.
      layouts: the layout of each folder.
    """

    params: dict[ParamPath, Lazy] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)
    layouts: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: Found) -> None:
        """Takes in what another folder gives."""
        self.params.update(other.params)
        self.faults.extend(other.faults)
        self.layouts.extend(other.layouts)


def read_base(folder: Path, clip: Path | None, model: EmolaConfig, parts: Collection[str]) -> Found:
    """Reads the parts of a base model.

    Args:
      folder: LLaVA in any layout, or a plain LLaMA.
      clip: CLIP's folder, for the vision tower where `folder` has none of its own.
      model: sizes; its adapter is no part of a base.
      parts: those wanted; others are left out although they may be there.

    Returns:
      What was found, faults included: nothing is raised for a tensor that doesn't fit.
    """
    wanted = {
        path: shape
        for path, shape in param_shapes(model.replace(lora=None)).items()
        if path[0] in parts
    }
    elsewhere = {path: shape for path, shape in wanted.items() if path[0] == VISION}
    opened = read_files.open_folder(folder)
    layout = tables.detect(opened.tensors)
    if layout is not None and VISION in layout.parts_in(opened.tensors):
        elsewhere = {}
    found = _read(
        folder, opened, layout, {p: s for p, s in wanted.items() if p not in elsewhere}, model
    )
    if elsewhere and clip is None:
        found.faults.append(
            f'{folder}: has no vision tower of its own; name the folder of CLIP with --clip'
        )
    elif elsewhere and clip is not None:
        opened = read_files.open_folder(clip)
        found.add(_read(clip, opened, tables.detect(opened.tensors), elsewhere, model))
    return found


def _read(
    folder: Path,
    opened: read_files.Weights,
    layout: Layout | None,
    wanted: Mapping[ParamPath, rules.Shaped],
    model: EmolaConfig,
) -> Found:
    if any(_QUANTISED.search(name) for name in opened.tensors):
        return Found(faults=[f'{folder}: holds quantised weights; give the unquantised ones'])
    if layout is None:
        faults = list(opened.faults)
        if not faults:
            some = ', '.join(sorted(opened.tensors)[:3])
            names = '; '.join(layout.name for layout in tables.LAYOUTS)
            faults.append(f'{folder}: tensors named {some}, … are of no known layout ({names})')
        return Found(faults=faults)
    table = layout.rules
    known = set(layout.prefixes())
    missing = set() if opened.faults else {path[0] for path in wanted} - known
    params, faults = rules.to_ours(
        table,
        opened.tensors,
        {path: shape for path, shape in wanted.items() if path[0] in known},
        _left_out(layout, {path[0] for path in wanted}, model),
    )
    if opened.faults:  # then what is missing may be in the file that can't be read
        faults = [fault for fault in faults if not fault.endswith(': missing')]
    return Found(
        params,
        [
            *opened.faults,
            *(f'{folder}: {fault}' for fault in faults),
            *(f'{folder}: holds no {tables.PART_NAMES[part]}' for part in sorted(missing)),
        ],
        [f'{folder}: {layout.name}'],
    )


def _left_out(layout: Layout, wanted: Collection[str], model: EmolaConfig) -> tuple[str, ...]:
    """Patterns of what a checkpoint may hold and isn't read from it."""
    patterns = list(layout.buffers)
    if model.llm.tied_embeddings or LLM not in wanted:
        patterns.append(re.escape(f'{layout.head}.weight'))
    for part, names in ((VISUAL_PROJECTOR, layout.projector), (PRIOR, layout.prior)):
        if part not in wanted and names is not None:
            patterns += [rf'{re.escape(name)}\.(weight|bias)' for name in names]
    if layout.vision is not None:
        prefix = re.escape(layout.vision)
        patterns += tables.CLIP_IGNORED
        patterns += [prefix + name for name in _unneeded(model.vision)]
        if VISION not in wanted:
            patterns.append(f'{prefix}.*')
    return tuple(patterns)


def _unneeded(vision: VisionConfig | None) -> list[str]:
    """Patterns of CLIP's tensors after the chosen features, from inside the vision tower."""
    if vision is None:
        return []
    layers = '|'.join(map(str, range(vision.used_layers, vision.layers)))
    unused = [rf'encoder\.layers\.({layers})\..*'] if layers else []
    return [*unused, r'post_layernorm\.(weight|bias)']
