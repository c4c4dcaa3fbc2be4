"""Checks a folder of the format `peft` with the real PEFT, on a LLaVA of transformers."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flax.traverse_util import unflatten_dict

from emola_jax import extras
from emola_jax.errors import UserError
from emola_jax.formats import hf_config_out, source, verify, verify_adapter
from emola_jax.formats.layouts import LLAVA_HF_MODULES, LLAVA_HF_MODULES_OF_5
from emola_jax.formats.read_folder import PROJECTORS_FILE, read_folder
from emola_jax.formats.source import Source
from emola_jax.formats.write_hf import without_prior
from emola_jax.models.config import EmolaConfig
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights import rules
from emola_jax.weights.lazy import Lazy
from emola_jax.weights.read_files import open_files
from input_pipeline.conversation import TEMPLATES, VISUAL_TOKEN
from input_pipeline.images import square_pixels

if TYPE_CHECKING:
    import torch

_LIMIT = 1e-2
"""Both sides compute in float32 from the same weights; a larger difference is a fault."""

_UNUSED = 'post_layernorm'
"""In the names of tensors that plain LLaVA's class has and never uses."""


def is_installed() -> bool:
    """Whether PEFT and torch are there."""
    return all(importlib.util.find_spec(name) is not None for name in ('torch', 'peft'))


def by() -> str:
    """What `check_written` reads the folder with."""
    if is_installed():
        return "by PEFT, and by this project's own reader"
    how = extras.install('convert')
    return f"by this project's own reader; not by PEFT, which is not installed: {how}"


def check_written(source_: Source, folder: Path) -> float:
    """The largest difference between the logits of what is in `folder` and of `source_`.

    This project's reader checks all of it, the prior included; PEFT, where it is installed, adapter
    and visual projector, with a prompt without the prior token.

    Args:
      source_: what was written, with the base's weights.
      folder: the adapter and its projectors.

    Raises:
      UserError: the folder doesn't load whole, or computes something else.
    """
    difference = verify_adapter.check_written(source_, folder)
    if not is_installed():
        return difference
    assert source_.load_tokenizer is not None  # the reader above has seen to it
    tokenizer, sample = source_.load_tokenizer(), verify.example_sample()
    written = read_folder(folder, with_base=False, vision=source_.model.vision)
    params = {**source_.params, **written.params}
    read = dataclasses.replace(
        source_, params=params, model=source_.model.replace(lora=written.model.lora)
    )
    merged = without_prior(source.merged(read))
    # Our weights are let go before theirs are loaded.
    ours = verify.our_reading(
        merged.model,
        unflatten_dict({p: leaf.whole().astype(np.float32) for p, leaf in merged.params.items()}),
        tokenizer,
        TEMPLATES[source_.template],
        sample,
    )
    theirs = _their_reading(without_prior(source_), folder, tokenizer, ours.tokens, sample)
    with_peft = verify.difference(folder, ours, theirs)
    if not with_peft <= _LIMIT:
        raise UserError(f'{folder}: its logits in PEFT differ from ours by {with_peft:.2g}')
    return max(difference, with_peft)


def _their_reading(
    plain: Source, folder: Path, tokenizer: Tokenizer, tokens: list[int], sample: verify.Sample
) -> verify.Reading:
    import torch
    from peft import PeftModel

    vocabulary = range(plain.model.llm.vocab)
    placeholder = next(number for number in vocabulary if number not in tokens)
    net = _base(plain, tokenizer, placeholder)
    _fill(net, _projector(folder))
    adapted = PeftModel.from_pretrained(net, str(folder)).eval()
    _check_adapter(adapted, folder)
    ids = [placeholder if token == VISUAL_TOKEN else token for token in tokens]
    with torch.inference_mode():
        logits = adapted(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            pixel_values=torch.tensor(_pixels(plain.model, sample)),
        ).logits
    return verify.Reading(tokens, logits[0].float().numpy())


def _base(plain: Source, tokenizer: Tokenizer, placeholder: int) -> torch.nn.Module:
    """The base in transformers' own class, in float32; tensor by tensor, so there is one copy."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    base = {p: leaf for p, leaf in plain.params.items() if p[-1] not in ('lora_a', 'lora_b')}
    model = plain.model.replace(lora=None)
    config = hf_config_out.llava_config(model, tokenizer, placeholder, 'float32')
    net = LlavaForConditionalGeneration(LlavaConfig.from_dict(config)).eval()
    names = dict(net.named_parameters())
    nested = any('.vision_model.' in name for name in names)
    layout = LLAVA_HF_MODULES if nested else LLAVA_HF_MODULES_OF_5
    filled = _fill(net, rules.to_theirs(layout.rules, base))
    tied = {'lm_head.weight'} if model.llm.tied_embeddings else set()
    lacking = {name for name in names if _UNUSED not in name} - filled - tied
    if lacking:
        raise UserError(f'the base has nothing for {sorted(lacking)} of LLaVA in transformers')
    net.tie_weights()
    return net


def _fill(net: torch.nn.Module, tensors: Mapping[str, Lazy]) -> set[str]:
    """Puts tensors into a module's parameters; returns their names."""
    import torch

    parameters = dict(net.named_parameters())
    for name, tensor in tensors.items():
        if name not in parameters or tuple(parameters[name].shape) != tensor.shape:
            raise UserError(f'{name}: LLaVA in transformers has no such tensor {tensor.shape}')
        parameters[name].data = torch.from_numpy(tensor.whole().astype(np.float32))
    return set(tensors)


def _projector(folder: Path) -> dict[str, Lazy]:
    opened = open_files([folder / PROJECTORS_FILE])
    return {n: t for n, t in opened.tensors.items() if '.multi_modal_projector.' in n}


def _check_adapter(adapted: torch.nn.Module, folder: Path) -> None:
    """PEFT leaves out what it finds no place for; here that is a fault."""
    there = {
        name.replace('.default.', '.') for name, _ in adapted.named_parameters() if '.lora_' in name
    }
    written = set(open_files([folder / 'adapter_model.safetensors']).tensors)
    if there != written:
        raise UserError(f'{folder}: PEFT does not load {sorted(there ^ written)[:3]}')


def _pixels(model: EmolaConfig, sample: verify.Sample) -> np.ndarray:
    """f32[1, 3, H, W] as transformers normalises them."""
    vision = hf_config_out.vision_of(model)
    pixels = square_pixels(sample.image, size=vision.image_size, name='sample')
    mean, std = (np.array(x, np.float32) for x in (vision.image_mean, vision.image_std))
    values = (pixels.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])
