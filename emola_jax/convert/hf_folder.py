"""A folder for transformers: its weights, and everything else in it, apart from each other.

hf        EmoLA with its own modeling file, prior token included
llava-hf  plain LLaVA, without the prior
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from emola_jax.convert import hf_config, rules, tables_hf
from emola_jax.convert.hf_config import DEFAULT_GENERATION, Generation
from emola_jax.convert.hf_tokenizer import image_token_id, tokenizer_files
from emola_jax.errors import UserError
from emola_jax.files import write_json, write_text
from emola_jax.models.config import EmolaConfig
from emola_jax.models.layers import stack_layers
from emola_jax.tokenizer import Tokenizer
from input_pipeline.conversation import Template

KINDS = ('hf', 'llava-hf')

KEPT_FLOAT32 = ('model.landmark_mean', 'model.landmark_std')
"""Tensors that stay float32 whatever the folder's dtype: rounding them would move the landmarks."""

_HF_FILES = Path(__file__).parent / 'hf_files'


def write_files(
    folder: Path,
    kind: str,
    model: EmolaConfig,
    tokenizer: Tokenizer,
    template: Template,
    *,
    dtype: str,
    card: str,
    generation: Generation = DEFAULT_GENERATION,
) -> None:
    """Writes every file of the folder but the weights.

    Args:
      folder: an open folder, not yet under its final name.
      kind: one of `KINDS`.
      model: sizes; LoRA is taken as merged.
      tokenizer: of the language model.
      template: the prompt's words.
      dtype: of the weights, as in the file's config.
      card: README.md.
      generation: how answers are written by default.

    Raises:
      UserError: the kind cannot express the model.
    """
    image = image_token_id(tokenizer)
    if kind == 'hf':
        config = hf_config.emola_config(model, tokenizer, image, dtype)
        processor = {'processor_config.json': hf_config.emola_processor(model)}
        for name in hf_config.MODULES:
            shutil.copy(_HF_FILES / f'{name}.py', folder)
    else:
        config = hf_config.llava_config(model, tokenizer, image, dtype)
        processor = hf_config.llava_processor(model)
    contents: dict[str, Any] = {
        'config.json': config,
        'generation_config.json': hf_config.generation_config(tokenizer, image, generation),
        **tokenizer_files(tokenizer, starts_with_bos=template.starts_with_bos),
        **processor,
    }
    for name, content in contents.items():
        write_json(folder / name, content)
    write_text(folder / 'chat_template.jinja', hf_config.chat_template(template))
    write_text(folder / 'README.md', card)


def tensors(
    kind: str, model: EmolaConfig, params: dict[str, Any], tokenizer: Tokenizer
) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of the folder under its name there, one at a time, in our dtypes.

    Args:
      kind: one of `KINDS`.
      model: sizes.
      params: nested dict of host arrays, LoRA merged; layers stacked or one by one.
      tokenizer: of the language model; says which row the image placeholder needs.

    Raises:
      UserError: a parameter has no place in the folder.
    """
    flat = flatten_dict(_stacked(params))
    plain = kind == 'llava-hf'
    if plain:
        flat = {path: leaf for path, leaf in flat.items() if path[0] != 'face_prior'}
    table = tables_hf.LLAVA_HF if plain else tables_hf.EMOLA_HF
    places, without = rules.expand(table, {path: leaf.shape for path, leaf in flat.items()})
    if without:
        raise UserError(f'parameters without a place in a folder of kind {kind}: {without}')
    rows = hf_config.padded_vocab(model, image_token_id(tokenizer))
    for name, place in places.items():
        leaf = flat[place.rule.ours]
        tensor = place.rule.to_theirs(
            np.asarray(leaf if place.layer is None else leaf[place.layer])
        )
        if name in tables_hf.LLAVA_HF_PADDED:
            tensor = with_rows(tensor, rows, tokenizer.pad_id)
        yield name, np.ascontiguousarray(tensor)
    if plain:
        width = hf_config.vision_of(model).width
        dtype = flat['vision', 'class_embedding'].dtype
        for name, value in tables_hf.LLAVA_HF_UNUSED.items():
            yield name, np.full(width, value, dtype)


def with_rows(table: np.ndarray, rows: int, copied: int) -> np.ndarray:
    """Appends copies of one row up to `rows`.

    As an output row the copy has its original's logit, of which a greedy choice takes the first, so
    it is never chosen. (A row of zeros would be, wherever all logits are negative.)
    """
    return np.concatenate([table, np.repeat(table[copied][None], rows - len(table), axis=0)])


def _stacked(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the language model's layers stacked on axis 0, where they aren't."""
    llm = params['llm']
    if '0' not in llm['layers']:
        return params
    return {**params, 'llm': {**llm, 'layers': stack_layers(llm['layers'])}}


def write_hf_folder(
    folder: Path,
    kind: str,
    model: EmolaConfig,
    params: dict[str, Any],
    tokenizer: Tokenizer,
    template: Template,
    *,
    dtype: str,
    card: str,
    generation: Generation = DEFAULT_GENERATION,
) -> None:
    """Writes a whole folder with its weights in one file, or leaves nothing: for small models.

    Arguments as of `write_files` and `tensors`.

    Raises:
      UserError: `folder` exists, or the kind cannot express the model.
    """
    if folder.exists():
        raise UserError(f'{folder}: exists already; expected a new folder')
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f'.{folder.name}.{os.getpid()}.partial')
    partial.mkdir()
    try:
        write_files(
            partial,
            kind,
            model,
            tokenizer,
            template,
            dtype=dtype,
            card=card,
            generation=generation,
        )
        weights = {
            name: tensor.astype(np.float32 if name in KEPT_FLOAT32 else _numpy_dtype(dtype))
            for name, tensor in tensors(kind, model, params, tokenizer)
        }
        # transformers refuses a file that doesn't name its framework.
        save_file(weights, partial / 'model.safetensors', metadata={'format': 'pt'})
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _numpy_dtype(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == 'bfloat16' else name)
