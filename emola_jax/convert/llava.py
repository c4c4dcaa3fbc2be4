"""The paper's base: LLaVA-1.5 in the original layout, and CLIP, from two folders on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from emola_jax.convert import tables
from emola_jax.convert.read import read, weight_files
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import Emola, example_batch

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
    if not any((llava / name).is_file() for name in ('tokenizer.model', 'tokenizer.json')):
        lines.append(f'{llava}/tokenizer.model: the tokenizer, from the same place as the weights')
    return lines


def identity(llava: Path, clip: Path) -> dict[str, str]:
    """What tells these weights from others: names, sizes and first megabyte of every file."""
    parts = {}
    for folder in (llava, clip):
        for path in weight_files(folder):
            with path.open('rb') as file:
                head = hashlib.sha256(file.read(1 << 20)).hexdigest()
            parts[f'{folder.name}/{path.name}'] = f'{path.stat().st_size}-{head}'
    return parts


def read_base(llava: Path, clip: Path, model: EmolaConfig) -> dict[str, Any]:
    """Reads every frozen parameter and the pretrained visual projector.

    Args:
      llava: folder of the language model and the projector.
      clip: folder of the vision tower; layers behind the chosen features are left out.
      model: sizes.

    Returns:
      'llm', 'visual_projector' and 'vision' of the parameter tree, as host arrays.

    Raises:
      UserError: a file can't be read, or lists all tensors that don't fit.
    """
    abstract = jax.eval_shape(
        Emola(model.replace(lora=None)).init, jax.random.key(0), example_batch(model)
    )
    shapes = {
        path: (leaf.value.shape, np.dtype(leaf.value.dtype))
        for path, leaf in flatten_dict(abstract['params']).items()
        if path[0] != 'face_prior'
    }
    of_clip = {path: kind for path, kind in shapes.items() if path[0] == 'vision'}
    of_llava = {path: kind for path, kind in shapes.items() if path[0] != 'vision'}
    params = read(
        llava,
        (*tables.LLAMA, *tables.VISUAL_PROJECTOR),
        of_llava,
        (*tables.LLAMA_IGNORED, *tables.LLAVA_IGNORED),
    )
    if model.vision is not None:
        unused = tables.clip_unused_layers(model.vision.used_layers, model.vision.layers)
        params |= read(clip, tables.CLIP_VISION, of_clip, (*tables.CLIP_IGNORED, *unused))
    return params
