"""Reads a LLaMA of a GGUF file (llama.cpp's format) into the layout of `models/llama.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, dequantize

from emola_jax.errors import UserError
from emola_jax.models.config import LlamaConfig

# GGUF name -> our path; '{}' is the layer. Matrices are [out, in] there and [in, out] here.
_GLOBAL = {'token_embd': ('embed',), 'output_norm': ('norm', 'scale'), 'output': ('head',)}
_LAYER = {
    'attn_norm': ('attention_norm', 'scale'),
    'attn_q': ('q', 'kernel'),
    'attn_k': ('k', 'kernel'),
    'attn_v': ('v', 'kernel'),
    'attn_output': ('o', 'kernel'),
    'ffn_norm': ('mlp_norm', 'scale'),
    'ffn_gate': ('gate', 'kernel'),
    'ffn_up': ('up', 'kernel'),
    'ffn_down': ('down', 'kernel'),
}


def read_gguf_llama(path: Path) -> tuple[LlamaConfig, dict[str, Any]]:
    """Reads configuration and weights, dequantised to float32.

    Returns:
        (configuration, parameters of `Llama`: nested dict of np.float32, layers stacked on axis 0,
        q and k in half-split RoPE order).

    Raises:
        UserError: not a GGUF file, not a LLaMA, or tensors that are missing, left over or of
            another shape than the configuration says (all of them are listed).
    """
    reader = open_gguf(path)
    config = _read_config(reader, path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    expected = _expected_shapes(config)
    _check(path, expected, {name: tuple(map(int, t.shape[::-1])) for name, t in tensors.items()})

    def read(name: str) -> np.ndarray:
        tensor = tensors[f'{name}.weight']
        return dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)

    params: dict[str, Any] = {}
    for name, target in _GLOBAL.items():
        if f'{name}.weight' in expected:
            _put(params, target, read(name).T if name == 'output' else read(name))
    for name, target in _LAYER.items():
        layers = [
            _to_ours(name, read(f'blk.{layer}.{name}'), config) for layer in range(config.layers)
        ]
        _put(params, ('layers', *target), np.stack(layers))
    return config, params


def open_gguf(path: Path) -> GGUFReader:
    """Opens a GGUF file.

    Raises:
        UserError: there is no such file, or it isn't a GGUF file.
    """
    if not Path(path).is_file():
        raise UserError(f'{path}: no such file; expected a GGUF model.')
    try:
        return GGUFReader(path)
    except (ValueError, IndexError) as error:
        raise UserError(f'{path}: not a readable GGUF file ({error}).') from error


def read_field(reader: GGUFReader, path: Path, name: str, default: Any = None) -> Any:
    """A metadata value of a GGUF file; without a default, UserError if it is missing."""
    field = reader.fields.get(name)
    if field is not None:
        return field.contents()
    if default is None:
        raise UserError(f"{path}: metadata field '{name}' is missing.")
    return default


def _read_config(reader: GGUFReader, path: Path) -> LlamaConfig:
    architecture = read_field(reader, path, 'general.architecture')
    if architecture != 'llama':
        raise UserError(f"{path}: general.architecture is '{architecture}', expected 'llama'.")

    def field(name: str, default: Any = None) -> Any:
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


def _expected_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    width, mlp = config.width, config.mlp
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layer = {
        'attn_norm': (width,),
        'attn_q': (queries, width),
        'attn_k': (keys, width),
        'attn_v': (keys, width),
        'attn_output': (width, queries),
        'ffn_norm': (width,),
        'ffn_gate': (mlp, width),
        'ffn_up': (mlp, width),
        'ffn_down': (width, mlp),
    }
    shapes: dict[str, tuple[int, ...]] = {
        'token_embd.weight': (config.vocab, width),
        'output_norm.weight': (width,),
    }
    if not config.tied_embeddings:
        shapes['output.weight'] = (config.vocab, width)
    for index in range(config.layers):
        shapes |= {f'blk.{index}.{name}.weight': shape for name, shape in layer.items()}
    return shapes


def _check(
    path: Path, expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]
) -> None:
    faults = [f'missing: {name} {shape}' for name, shape in expected.items() if name not in found]
    for name, shape in found.items():
        if name not in expected:
            faults.append(f'left over: {name} {shape}')
        elif shape != expected[name]:
            faults.append(f'shape: {name} is {shape}, expected {expected[name]}')
    if faults:
        raise UserError(f'{path}: tensors do not fit a LLaMA:\n  ' + '\n  '.join(faults))


def _to_ours(name: str, weight: np.ndarray, config: LlamaConfig) -> np.ndarray:
    if name == 'attn_q':
        weight = _half_split(weight, config.heads)
    elif name == 'attn_k':
        weight = _half_split(weight, config.kv_heads)
    return weight.T if weight.ndim == 2 else weight


def _half_split(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows (2i, 2i + 1) of each head, which llama.cpp turns as a pair, become (i, i + H/2)."""
    outputs, inputs = weight.shape
    pairs = weight.reshape(heads, outputs // heads // 2, 2, inputs)
    return pairs.swapaxes(1, 2).reshape(outputs, inputs)


def _put(params: dict[str, Any], target: tuple[str, ...], value: np.ndarray) -> None:
    for name in target[:-1]:
        params = params.setdefault(name, {})
    params[target[-1]] = np.ascontiguousarray(value)
