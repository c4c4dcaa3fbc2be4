"""The paper's base: LLaVA-1.5 in the original layout, and CLIP, from two folders on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TypeVar

from flax.traverse_util import unflatten_dict

from emola_jax.errors import UserError
from emola_jax.formats import hf_config_in
from emola_jax.formats import read_base as read
from emola_jax.formats.hf_config_in import CONFIG_FILE
from emola_jax.formats.layouts import LLM, VISION, VISUAL_PROJECTOR
from emola_jax.formats.read_folder import vocabulary_faults
from emola_jax.formats.source import refuse
from emola_jax.models import tokenizer_files
from emola_jax.models.config import EmolaConfig, LlamaConfig, VisionConfig
from emola_jax.weights.read_files import head, refuse_pointer, weight_files
from emola_jax.weights.trees import Tree

Part = TypeVar('Part', LlamaConfig, VisionConfig)

SOURCES = {
    'llava': 'LLaVA-1.5 in its original layout (liuhaotian/llava-v1.5-7b on the Hugging Face hub)',
    'clip': 'CLIP (openai/clip-vit-large-patch14-336 on the Hugging Face hub)',
}


def missing(llava: Path, clip: Path) -> list[str]:
    """One line for each file that isn't there: which, where it comes from, where to put it."""
    lines = []
    for name, folder in (('llava', llava), ('clip', clip)):
        if not weight_files(folder):
            lines.append(
                f'{folder}/*.safetensors or pytorch_model*.bin: the weights of {SOURCES[name]}; '
                f'put the whole folder there, or name another with --config.base.{name}=FOLDER'
            )
    if not tokenizer_files.is_there(llava):
        lines.append(f'{llava}/tokenizer.model: the tokenizer, from the same place as the weights')
    return lines


def faults(llava: Path, clip: Path, model: EmolaConfig) -> list[str]:
    """What is wrong with both folders, found out in a second and before any other work.

    Files that can't be opened, a tokenizer or a config.json that contradicts the model.

    Returns:
      One line for each fault.
    """
    found: list[str] = []
    for path in (*weight_files(llava), *weight_files(clip)):
        try:
            refuse_pointer(path)
        except UserError as error:
            found.append(str(error))
    found += vocabulary_faults(llava, model.llm.vocab)
    if not (llava / CONFIG_FILE).is_file():
        return found
    try:
        vision = model.vision
        if vision is not None and (clip / CONFIG_FILE).is_file():
            vision = hf_config_in.read_vision(clip)
        theirs = hf_config_in.read_model(llava, vision)
    except UserError as error:
        return [*found, str(error)]
    found += _differences(llava, 'llm', theirs.llm, model.llm)
    if model.vision is not None and theirs.vision is not None:
        merged = model.vision.spatial_merge
        vision = dataclasses.replace(theirs.vision, spatial_merge=merged)
        found += _differences(clip, 'vision', vision, model.vision)
    return found


def _differences(folder: Path, part: str, theirs: Part, ours: Part) -> list[str]:
    return [
        f'{folder}: has {field.name} {getattr(theirs, field.name)}, but the config says '
        f'model.{part}.{field.name} = {getattr(ours, field.name)}'
        for field in dataclasses.fields(theirs)
        if getattr(theirs, field.name) != getattr(ours, field.name)
    ]


def identity(llava: Path, clip: Path) -> dict[str, str]:
    """What tells these weights from others: names, sizes and first megabyte of every file.

    The folders' paths and names don't matter.
    """
    return {
        f'{role}/{path.name}': head(path)
        for role, folder in (('llava', llava), ('clip', clip))
        for path in weight_files(folder)
    }


def read_base(llava: Path, clip: Path, model: EmolaConfig) -> Tree:
    """Finds every frozen parameter and the pretrained visual projector.

    Args:
      llava: folder of the language model and the projector, in any layout.
      clip: folder of the vision tower; layers after the chosen features are left out.
      model: sizes.

    Returns:
      'llm', 'visual_projector' and 'vision' of the parameter tree; every leaf is a `Lazy`, which
      is read when it is placed.

    Raises:
      UserError: lists every file that can't be read and all tensors that don't fit.
    """
    parts = [LLM, VISION, VISUAL_PROJECTOR] if model.vision is not None else [LLM]
    found = read.read_base(llava, clip, model, parts)
    refuse(found.faults, f'{llava}: does not fit the model')
    return unflatten_dict(found.params)
