"""Reads a LLaMA of a GGUF file (llama.cpp's format) into the layout of `models/llama.py`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import unflatten_dict
from gguf import GGUFReader, ReaderTensor, dequantize

from emola_jax.errors import UserError
from emola_jax.formats import sizes
from emola_jax.models.config import EmolaConfig, LlamaConfig, PriorConfig
from emola_jax.models.emola import param_shapes
from emola_jax.weights.gguf_file import open_gguf, read_field
from emola_jax.weights.lazy import Index, Lazy
from emola_jax.weights.rules import LAYER, Rule, to_ours
from emola_jax.weights.trees import Params


def llama_rules(config: LlamaConfig) -> tuple[Rule, ...]:
    """The table of llama.cpp's names; RoPE turns neighbouring rows of q and k as pairs there."""
    layer = f'blk.{LAYER}.'
    return (
        Rule('token_embd.weight', ('embed',)),
        Rule('output_norm.weight', ('norm', 'scale')),
        Rule('output.weight', ('head',), 'transpose'),
        Rule(f'{layer}attn_norm.weight', ('layers', 'attention_norm', 'scale')),
        Rule(f'{layer}ffn_norm.weight', ('layers', 'mlp_norm', 'scale')),
        *(
            Rule(f'{layer}{theirs}.weight', ('layers', ours, 'kernel'), 'transpose', paired_heads)
            for theirs, ours, paired_heads in (
                ('attn_q', 'q', config.heads),
                ('attn_k', 'k', config.kv_heads),
                ('attn_v', 'v', 0),
                ('attn_output', 'o', 0),
                ('ffn_gate', 'gate', 0),
                ('ffn_up', 'up', 0),
                ('ffn_down', 'down', 0),
            )
        ),
    )


def read_gguf_llama(path: Path, reader: GGUFReader | None = None) -> tuple[LlamaConfig, Params]:
    """Reads configuration and weights, dequantised to float32.

    Args:
        path: of the file.
        reader: of the same file, if it is open: to open one takes seconds.

    Returns:
        (configuration, parameters of `Llama`: nested dict of np.float32, layers stacked on axis 0,
        q and k in half-split RoPE order).

    Raises:
        UserError: not a GGUF file, not a LLaMA, or tensors that are missing, left over or of
            another shape than the configuration says (all of them are listed).
    """
    reader = reader or open_gguf(path)
    try:
        config = _read_config(reader, path)
    except UserError:
        raise
    except Exception as error:  # a field of another type, and sizes that do not go together
        raise UserError(f'{path}: describes no LLaMA ({error!s:.200}).') from error
    sizes.check(Path(path), _model(config))
    tensors = {tensor.name: _lazy(tensor) for tensor in reader.tensors}
    params, faults = to_ours(llama_rules(config), tensors, _shapes(config))
    if faults:
        raise UserError(f'{path}: tensors do not fit a LLaMA:\n  ' + '\n  '.join(faults))
    with ThreadPoolExecutor() as pool:  # NumPy lets go of the interpreter while it copies
        arrays = pool.map(lambda value: np.ascontiguousarray(value.whole()), params.values())
        return config, unflatten_dict(dict(zip(params, arrays, strict=True)))


def _read_config(reader: GGUFReader, path: Path) -> LlamaConfig:
    architecture = read_field(reader, path, 'general.architecture')
    if architecture != 'llama':
        raise UserError(f"{path}: general.architecture is '{architecture}', expected 'llama'.")

    def field(name: str, default: object = None) -> Any:
        return read_field(reader, path, f'llama.{name}', default)

    if 'llama.rope.scaling.type' in reader.fields and field('rope.scaling.type') != 'none':
        raise UserError(f'{path}: llama.rope.scaling.type is set; scaled RoPE is not supported.')
    width, heads = field('embedding_length'), field('attention.head_count')
    head_dim = field('attention.key_length', width // heads)
    if field('rope.dimension_count', head_dim) != head_dim:
        raise UserError(f'{path}: llama.rope.dimension_count must equal the head size {head_dim}.')
    names = {tensor.name: tensor for tensor in reader.tensors}
    return LlamaConfig(
        vocab=field('vocab_size', len(read_field(reader, path, 'tokenizer.ggml.tokens'))),
        width=width,
        layers=field('block_count'),
        heads=heads,
        kv_heads=field('attention.head_count_kv', heads),
        head_dim=head_dim,
        mlp=field('feed_forward_length'),
        rope_theta=float(field('rope.freq_base', 10000.0)),
        # Stored as float32: 1e-5 comes as 9.9999997e-06.
        norm_eps=float(f'{field("attention.layer_norm_rms_epsilon"):.6g}'),
        tied_embeddings='output.weight' not in names,
    )


def _lazy(tensor: ReaderTensor) -> Lazy:
    """Dequantised whole whenever a piece is read: blocks run across rows."""

    def read(index: Index) -> np.ndarray:
        values = dequantize(tensor.data, tensor.tensor_type)
        return values.astype(np.float32, copy=False)[index]

    return Lazy(tuple(map(int, tensor.shape[::-1])), np.dtype(np.float32), read)


def _shapes(config: LlamaConfig) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    return {path[1:]: shape for path, shape in param_shapes(_model(config)).items()}


def _model(config: LlamaConfig) -> EmolaConfig:
    return EmolaConfig(vision=None, llm=config, lora=None, prior=PriorConfig(enabled=False))
