"""Tells what a folder holds, and reads it: a whole model, or an adapter on its base."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json
from emola_jax.formats import hf_config_in, read_adapter, sizes
from emola_jax.formats.foreign_code import without_code
from emola_jax.formats.hf_config_in import CONFIG_FILE, KNOWN_TOWERS, TEMPLATE_FIELD, TOWER_FIELD
from emola_jax.formats.hf_tokenizer import IMAGE_TOKEN
from emola_jax.formats.layouts import EMOLA_HF, LLM, PRIOR, VISION, VISUAL_PROJECTOR
from emola_jax.formats.read_base import Found, read_base
from emola_jax.formats.source import PAPERS_TEMPLATE, Source, refuse
from emola_jax.models import tokenizer_files
from emola_jax.models.config import DTYPES, EmolaConfig, VisionConfig
from emola_jax.models.emola import param_shapes
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights import read_files, rules
from emola_jax.weights.hub import is_hub_id, is_there, local_folder
from input_pipeline.conversation import TEMPLATES

PROJECTORS_FILE = 'projectors.safetensors'
"""What the `peft` format puts next to the adapter, in the names of `EMOLA_HF`."""

MODEL_FILE = 'emola.json'
"""Next to the adapter of the `peft` format: sizes, template and the base's own config."""


def read_folder(
    folder: Path,
    *,
    base: str | None = None,
    clip: str | None = None,
    with_base: bool = True,
    vision: VisionConfig | None = None,
    allow_download: bool = False,
) -> Source:
    """Reads whatever a folder holds; all parameters lazily.

    Args:
      folder: an EmoLA checkpoint as released, PEFT's adapter, LLaVA in any layout, or a merged
        folder of this project.
      base: path or hub id of the model below an adapter; the one that it names by default.
      clip: path or hub id of CLIP; the one that LLaVA's config names by default.
      with_base: False reads an adapter without the weights below it.
      vision: sizes of the tower below a released adapter that is read without it, if they are
        known; its own config names the tower only.
      allow_download: whether what the folder itself names may be fetched from the hub.

    Raises:
      UserError: lists everything that is missing, left over, damaged or doesn't fit.
    """
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder')
    hub = _Hub(folder, allow_download)
    if not (folder / read_adapter.ADAPTER_CONFIG).is_file():
        return _whole(folder, clip, hub)
    if (folder / CONFIG_FILE).is_file():
        return _released(folder, base, clip, with_base, vision, hub)
    return _peft(folder, base, clip, with_base, hub)


@dataclasses.dataclass(frozen=True)
class _Hub:
    """How names of models become folders.

    Attributes:
      source: the folder that is read.
      allowed: whether names that the folder itself holds may be fetched.
    """

    source: Path
    allowed: bool

    def folder(self, name: str, flag: str, *, asked: bool) -> Path:
        """The local folder of a model.

        Args:
          name: a path or a hub id.
          flag: by which the user names another folder.
          asked: whether the user gave the name.

        Raises:
          UserError: it is not there, or would be fetched unasked.
        """
        if not asked and not self.allowed and not is_there(name) and is_hub_id(name):
            raise UserError(
                f'{self.source}: names {name!r}, which is not here and is not fetched from the '
                f'Hugging Face hub unasked; give --allow-download, or name a folder with {flag}'
            )
        return local_folder(name)


def _whole(folder: Path, clip: str | None, hub: _Hub) -> Source:
    if not read_files.weight_files(folder):
        raise UserError(
            f'{folder}: neither a run of this project, nor an adapter '
            f'({read_adapter.ADAPTER_CONFIG}), '
            f'nor a model ({" or ".join(pattern for pattern, _ in read_files.KINDS)})'
        )
    values = read_json(folder / CONFIG_FILE)
    vision, clip_folder = _tower(clip, values, hub, with_weights=False)
    model = hf_config_in.read_model(folder, vision)
    parts = [LLM]
    if model.vision is not None:
        parts += [VISION, VISUAL_PROJECTOR]
    if model.prior.enabled:
        parts.append(PRIOR)
    found = read_base(folder, clip_folder, model, parts)
    failed = f'does not fit the model that its {CONFIG_FILE} describes'
    return _source(folder, model, found, failed, values)


def _released(
    folder: Path,
    base: str | None,
    clip: str | None,
    with_base: bool,
    vision: VisionConfig | None,
    hub: _Hub,
) -> Source:
    """An EmoLA checkpoint in the files of the released code."""
    values = read_json(folder / CONFIG_FILE)
    clip_folder = None
    if vision is None or with_base:
        vision, clip_folder = _tower(clip, values, hub, with_weights=with_base)
    path = read_adapter.adapter_file(folder)
    opened = read_adapter.open_lora(path)
    model = hf_config_in.read_model(folder, vision).replace(
        lora=read_adapter.read_lora_config(folder, opened.tensors)
    )
    found = _adapter(path, opened, model)
    projectors, faults = read_adapter.read_released_projectors(folder, model)
    found.add(Found(projectors, faults, ['EmoLA as released']))
    named = base or read_adapter.base_name(folder)
    base_folder = _base_folder(named, hub, needed=with_base, asked=base is not None)
    if base_folder is not None and with_base:
        found.add(_below(base_folder, clip_folder, model, (LLM, VISION)))
    failed = 'is not a whole EmoLA checkpoint'
    return _source(folder, model, found, failed, values, base=named, base_folder=base_folder)


def _peft(folder: Path, base: str | None, clip: str | None, with_base: bool, hub: _Hub) -> Source:
    """An adapter in PEFT's files, with the projectors that this project puts next to them."""
    named = base or read_adapter.base_name(folder)
    known = _model_file(folder / MODEL_FILE)
    base_folder = _base_folder(named, hub, needed=with_base or not known, asked=base is not None)
    clip_folder = None
    if known:
        model = known['model']
        if clip is not None:
            clip_folder = local_folder(clip)
    else:
        assert base_folder is not None
        values = read_json(base_folder / CONFIG_FILE)
        vision, clip_folder = _tower(clip, values, hub, with_weights=with_base)
        model = hf_config_in.read_model(base_folder, vision)
    path = read_adapter.adapter_file(folder)
    opened = read_adapter.open_lora(path)
    model = model.replace(lora=read_adapter.read_lora_config(folder, opened.tensors))
    found = _adapter(path, opened, model)
    beside = _projectors(folder, model, needed=bool(known))
    found.add(beside)
    if base_folder is not None and with_base:
        parts = {LLM, VISION, VISUAL_PROJECTOR} if model.vision is not None else {LLM}
        parts -= {name[0] for name in beside.params}
        found.add(_below(base_folder, clip_folder, model, tuple(parts)))
    foreign = {**known.get('foreign', {}), TEMPLATE_FIELD: known.get('template')}
    failed = 'is not a whole adapter'
    return _source(folder, model, found, failed, foreign, base=named, base_folder=base_folder)


def _model_file(path: Path) -> JsonObject:
    """What the `peft` format writes in `MODEL_FILE`, the model parsed; empty without one."""
    if not path.is_file():
        return {}
    known = read_json(path)
    for field in ('model', 'foreign'):
        if not isinstance(known.get(field), dict):
            raise UserError(f"{path}: '{field}' is {known.get(field)!r}, expected an object")
    try:
        model = EmolaConfig.from_config_dict(known['model'])
    except Exception as error:  # what a record raises for a field of another type
        raise UserError(f'{path}: describes no model ({error})') from None
    sizes.check(path, model)
    return {**known, 'model': model}


def _source(
    folder: Path,
    model: EmolaConfig,
    found: Found,
    failed: str,
    foreign: JsonObject,
    *,
    base: str | None = None,
    base_folder: Path | None = None,
) -> Source:
    """What was found as a source; raises UserError, `failed` in front, if there are faults."""
    tokenizer = _tokenizer(folder, model, found.faults, base_folder)
    template = foreign.get(TEMPLATE_FIELD) or PAPERS_TEMPLATE
    if template not in TEMPLATES:
        found.faults.append(
            f'{folder}: {TEMPLATE_FIELD} is {template!r}, expected one of {sorted(TEMPLATES)}'
        )
    refuse(found.faults, f'{folder}: {failed}')
    return Source(
        folder,
        ', '.join(found.layouts),
        _as_stored(model, found),
        found.params,
        template=template,
        base=base,
        tokenizer=tokenizer,
        load_tokenizer=_loader(tokenizer),
        foreign=without_code(foreign),
    )


def _adapter(path: Path, opened: read_files.Weights, model: EmolaConfig) -> Found:
    if opened.faults:
        return Found(faults=list(opened.faults))
    params, faults = read_adapter.read_lora(path, opened, model)
    return Found(params, faults, ["PEFT's LoRA"])


def _projectors(folder: Path, model: EmolaConfig, *, needed: bool) -> Found:
    path = folder / PROJECTORS_FILE
    if not path.is_file() and not needed:
        return Found()
    opened = read_files.open_files([path])
    parts = {VISUAL_PROJECTOR, PRIOR} if model.prior.enabled else {VISUAL_PROJECTOR}
    wanted = {p: s for p, s in param_shapes(model).items() if p[0] in parts}
    if opened.faults:
        return Found(faults=list(opened.faults))
    lacks = parts - EMOLA_HF.parts_in(opened.tensors)
    if PRIOR in lacks:
        return Found(faults=[f'{path}: holds no landmark projector'])
    params, faults = rules.to_ours(EMOLA_HF.rules, opened.tensors, wanted)
    return Found(params, [f'{path}: {fault}' for fault in faults], ['projectors'])


def _below(folder: Path, clip: Path | None, model: EmolaConfig, parts: tuple[str, ...]) -> Found:
    """The base's parts; a base of other sizes is one fault instead of one per tensor."""
    theirs = hf_config_in.read_model(folder, model.vision).llm
    differing = [
        f'{folder}: has {field.name} {getattr(theirs, field.name)}, but the adapter was trained on '
        f'a model with {getattr(model.llm, field.name)}'
        for field in dataclasses.fields(theirs)
        if getattr(theirs, field.name) != getattr(model.llm, field.name)
    ]
    return Found(faults=differing) if differing else read_base(folder, clip, model, parts)


def _base_folder(name: str | None, hub: _Hub, *, needed: bool, asked: bool) -> Path | None:
    """The folder of the model below an adapter, or None where it isn't needed and isn't there."""
    if name is not None and Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if not needed:
        return None
    if name is None:
        raise UserError(f'{hub.source}: names no base model; name it with --base')
    try:
        return hub.folder(name, '--base', asked=asked)
    except UserError as error:
        raise UserError(
            f'{hub.source}: its base model is missing ({error}); name it with --base'
        ) from None


def _tower(
    clip: str | None, values: JsonObject, hub: _Hub, *, with_weights: bool
) -> tuple[VisionConfig | None, Path | None]:
    """Sizes and folder of the vision tower that LLaVA's config names.

    Raises:
      UserError: it isn't there, and isn't one whose sizes are known.
    """
    name = clip or values.get(TOWER_FIELD)
    if name is None:
        return None, None
    if not isinstance(name, str):
        raise UserError(f'{TOWER_FIELD} is {name!r}, expected a path or a hub id of CLIP')
    if not with_weights and name in KNOWN_TOWERS and not Path(name).is_dir():
        return KNOWN_TOWERS[name], None
    try:
        folder = hub.folder(name, '--clip', asked=clip is not None)
    except UserError as error:
        raise UserError(f'the vision tower is missing ({error}); name it with --clip') from None
    return hf_config_in.read_vision(folder), folder


def _tokenizer(
    folder: Path, model: EmolaConfig, faults: list[str], *others: Path | None
) -> Path | None:
    """The first folder that has a tokenizer; one of another vocabulary is a fault."""
    for place in (folder, *others):
        if place is not None and tokenizer_files.is_there(place):
            faults += vocabulary_faults(place, model.llm.vocab)
            return place
    return None


def _loader(folder: Path | None) -> Callable[[], Tokenizer] | None:
    return None if folder is None else functools.partial(Tokenizer.from_pretrained, folder)


def vocabulary_faults(folder: Path, vocab: int) -> list[str]:
    """One line if the tokenizer of `folder` isn't that of a model with `vocab` rows.

    A table may be longer than the tokenizer's vocabulary, up to the next multiple of 64, as that of
    llava-hf is. In a merged folder of this project the image placeholder is the tokenizer's last
    id, and may be past the end of the table.
    """
    try:
        tokenizer = Tokenizer.from_pretrained(folder)
    except UserError as error:
        return [str(error)]
    ids = tokenizer.vocab
    if ids == vocab or -(-ids // 64) * 64 == vocab:
        return []
    placeholder = tokenizer.backend.token_to_id(IMAGE_TOKEN)
    if placeholder == ids - 1 <= vocab and placeholder == _placeholder(folder):
        return []
    return [f'{folder}: the tokenizer has {ids} ids, but the model has embeddings for {vocab}']


def _placeholder(folder: Path) -> int | None:
    path = folder / CONFIG_FILE
    return read_json(path).get('image_token_index') if path.is_file() else None


def _as_stored(model: EmolaConfig, found: Found) -> EmolaConfig:
    """The model with the type in which its embeddings are stored."""
    embed = found.params.get((LLM, 'embed'))
    if embed is None or str(embed.dtype) not in DTYPES:
        return model
    return model.replace(dtype='float32', param_dtype=str(embed.dtype))
