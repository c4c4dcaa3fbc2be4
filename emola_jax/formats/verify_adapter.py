"""Checks a written adapter: reads it back onto the base that it was trained on, compares logits.

The released code cannot be installed next to current libraries, so the reader here is this
project's own; `verify_peft` has the real PEFT read its folders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict

from emola_jax.errors import UserError
from emola_jax.formats import source, verify
from emola_jax.formats.layouts import LLM
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.source import Source
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights.lazy import Lazy
from emola_jax.weights.rules import Path as ParamPath
from input_pipeline.conversation import TEMPLATES

_LIMIT = 1e-3
"""The same float32 computation on what should be the same tensors."""


def check_written(source_: Source, folder: Path) -> float:
    """The largest difference between the logits of what is in `folder` and of `source_`.

    Args:
      source_: what was written, with the base's weights.
      folder: the adapter and its projectors, of the format `emola` or `peft`.

    Raises:
      UserError: the source has no base or no tokenizer, the folder doesn't read back whole, or its
        template or its logits are others.
    """
    if (LLM, 'embed') not in source_.params or source_.load_tokenizer is None:
        raise UserError(f'{folder}: to check it, the base and its tokenizer must be at hand')
    written = read_folder(folder, with_base=False, vision=source_.model.vision)
    if written.template != source_.template:
        raise UserError(
            f"{folder}: names the template '{written.template}', expected '{source_.template}'"
        )
    if source_.tokenizer is not None:
        tokenizer = Tokenizer.from_pretrained(folder)
        added = map(str, tokenizer.backend.get_added_tokens_decoder().values())
        verify.check_tokenizer(source_.tokenizer, folder, tokenizer.encode, list(added))
    rounded = {
        path: tensor.astype(written.params[path].dtype) if path in written.params else tensor
        for path, tensor in source_.params.items()
    }
    ours = _reading(source_, rounded)
    again = dataclasses.replace(source_, model=source_.model.replace(lora=written.model.lora))
    theirs = _reading(again, {**source_.params, **written.params})
    difference = verify.difference(folder, ours, theirs)
    if not difference <= _LIMIT:
        raise UserError(f'{folder}: its logits differ from ours by {difference:.2g}')
    return difference


def _reading(whole: Source, params: Mapping[ParamPath, Lazy]) -> verify.Reading:
    assert whole.load_tokenizer is not None  # the caller has seen to it
    merged = source.merged(dataclasses.replace(whole, params=params))
    weights = {path: leaf.whole().astype(np.float32) for path, leaf in merged.params.items()}
    return verify.our_reading(
        merged.model,
        unflatten_dict(weights),
        whole.load_tokenizer(),
        TEMPLATES[whole.template],
        verify.example_sample(whole.model.prior.inputs),
    )
