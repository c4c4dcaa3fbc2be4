"""The formats `hf` and `llava-hf`: merged folders that transformers loads by themselves."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.formats import hf_config_out, source, verify
from emola_jax.formats.hf_config_out import DEFAULT_GENERATION, Generation
from emola_jax.formats.hf_folder import write_files
from emola_jax.formats.hf_tokenizer import image_token_id
from emola_jax.formats.layouts import EMOLA_HF, EXPERT, LLAVA_HF, MORE_PRIORS, PRIOR
from emola_jax.formats.model_card import facts_of, model_card
from emola_jax.formats.source import Source
from emola_jax.formats.write import Options, write_safetensors
from emola_jax.generation.sampler import Sampler
from emola_jax.models.config import PriorConfig
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights import lazy, read_files, rules
from emola_jax.weights.lazy import Lazy
from input_pipeline.conversation import TEMPLATES

_KEPT_FLOAT32 = ('model.landmark_mean', 'model.landmark_std')
"""Stay float32 in a folder of any type: rounding them would move the landmarks."""

_UNUSED = {
    'vision_tower.vision_model.post_layernorm.weight': 1.0,
    'vision_tower.vision_model.post_layernorm.bias': 0.0,
}
"""Tensors [vision width] that plain LLaVA's class insists on and never uses (the norm of CLIP's
class token), with what fills them. EmoLA's own class has none."""

_PADDED = ('language_model.model.embed_tokens.weight', 'language_model.lm_head.weight')
"""Plain LLaVA looks the image placeholder up before it overwrites what it found, so these get a row
for it where the vocabulary has no room."""

_LIMIT = 1e-2
"""Both sides compute in float32 from the same weights; a larger difference is a fault."""


def check(kind: str, source_: Source) -> None:
    """Raises UserError where the format cannot express the model."""
    if kind == 'hf':
        hf_config_out.vision_of(source_.model)
        source.check_priors(source_.model, 'hf')
    else:
        hf_config_out.check_plain_llava(source_.model)
    if source_.load_tokenizer is None:
        raise UserError(f'{source_.folder}: holds no tokenizer, which --to={kind} needs')


def write(kind: str, source_: Source, folder: Path, options: Options) -> None:
    """Fills the folder, the weights tensor by tensor."""
    whole = source.merged(source_)
    tokenizer = _tokenizer(source_)
    named = tensors(kind, whole, tokenizer)
    kept = {name: tensor for name, tensor in named.items() if name in _KEPT_FLOAT32}
    write_safetensors(
        folder,
        options.cast(named) | kept,
        max_shard_size=options.max_shard_size,
        progress=options.progress,
    )
    if source_.tokenizer is not None and (source_.tokenizer / 'tokenizer.model').is_file():
        shutil.copyfile(source_.tokenizer / 'tokenizer.model', folder / 'tokenizer.model')
    dtype = options.dtype or whole.model.param_dtype
    facts = facts_of(kind, source_, dtype)
    write_files(
        folder,
        kind,
        whole.model,
        tokenizer,
        source_.template,
        dtype=dtype,
        card=model_card(facts),
        generation=_generation(facts.about),
    )


def tensors(kind: str, whole: Source, tokenizer: Tokenizer) -> dict[str, Lazy]:
    """Every tensor of the folder under its name there, in the types that they are stored in.

    Args:
      kind: 'hf' or 'llava-hf'.
      whole: the model, adapter merged.
      tokenizer: its placeholder for images may need a row.
    """
    if kind == 'hf':
        return rules.to_theirs(EMOLA_HF.rules, whole.params)
    plain = without_prior(whole)
    named = rules.to_theirs(LLAVA_HF.rules, plain.params)
    rows = hf_config_out.padded_vocab(plain.model, image_token_id(tokenizer))
    for name in _PADDED:
        if name in named:
            named[name] = with_rows(named[name], rows, tokenizer.pad_id)
    width = hf_config_out.vision_of(plain.model).width
    dtype = plain.params['vision', 'class_embedding'].dtype
    unused = {name: np.full(width, value, dtype) for name, value in _UNUSED.items()}
    return named | {name: lazy.of_array(array) for name, array in unused.items()}


def with_rows(table: Lazy, rows: int, copied: int) -> Lazy:
    """Appends copies of one row up to `rows`.

    As an output row the copy has its original's logit, of which a greedy choice takes the first, so
    it is never chosen. (A row of zeros would be, wherever all logits are negative.)
    """
    order = np.full(rows, copied)
    order[: table.shape[0]] = np.arange(table.shape[0])
    return dataclasses.replace(
        lazy.permute_rows(table, order), shape=(rows, *table.shape[1:]), layers=()
    )


def without_prior(whole: Source) -> Source:
    """The model as plain LLaVA has it."""
    left_out = (PRIOR, MORE_PRIORS, EXPERT)
    params = {path: value for path, value in whole.params.items() if path[0] not in left_out}
    model = whole.model.replace(prior=PriorConfig(enabled=False), more_priors=())
    return dataclasses.replace(whole, params=params, model=model)


def check_written(kind: str, source_: Source, folder: Path) -> float:
    """The largest difference between the folder's logits and ours, for one made-up sample.

    Raises:
      UserError: it doesn't load whole, reads another prompt, or computes something else.
    """
    whole = source.merged(source_)
    if kind == 'llava-hf':
        whole = without_prior(whole)
    tokenizer = _tokenizer(source_)
    sample = verify.example_sample(whole.model.prior.inputs)
    # Our weights are let go before theirs are loaded.
    ours = verify.our_reading(
        whole.model,
        _as_stored(kind, whole, folder),
        tokenizer,
        TEMPLATES[whole.template],
        sample,
    )
    placeholder = image_token_id(tokenizer)
    theirs = verify.read_transformers(folder, sample, placeholder, source_.tokenizer)
    difference = verify.difference(folder, ours, theirs)
    if not difference <= _LIMIT:
        raise UserError(f'{folder}: its logits differ from ours by {difference:.2g}')
    return difference


def _as_stored(kind: str, whole: Source, folder: Path) -> JsonObject:
    """Our parameters in float32, rounded as far as the folder's types round them."""
    table = EMOLA_HF.rules if kind == 'hf' else LLAVA_HF.rules
    stored = read_files.open_folder(folder).tensors
    shapes = [(path, tensor.shape) for path, tensor in whole.params.items()]
    types = {
        place.path: stored[name].dtype
        for name, place in rules.places(table, shapes).items()
        if name in stored
    }
    return unflatten_dict(
        {
            path: tensor.astype(types.get(path, tensor.dtype)).whole().astype(np.float32)
            for path, tensor in whole.params.items()
        }
    )


def _tokenizer(source_: Source) -> Tokenizer:
    assert source_.load_tokenizer is not None  # `check` has seen to it
    return source_.load_tokenizer()


def _generation(about: JsonObject | None) -> Generation:
    if about is None:
        return DEFAULT_GENERATION
    settings = about['config']['eval']
    return Generation(max(settings['max_new_tokens'].values()), Sampler(**settings['sampler']))
