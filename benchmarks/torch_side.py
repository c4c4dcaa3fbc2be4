"""The peer: transformers' LLaVA with PEFT in PyTorch, on the same weights and batches.

The class is `LlavaForConditionalGeneration` with the one token of landmarks that EmoLA adds
(`emola_jax/formats/hf_files`); tower, language model, attention (sdpa) and cache are transformers'.
It runs only the vision layers that are used, and its rows hold no padding. PEFT is set as trainers
of LLaVA set it: frozen weights in the benchmark's type, adapters and projectors in float32, and
autocast where the type is bfloat16. This module imports no jax.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import peft
import torch
from transformers import GenerationConfig

Figures = dict[str, Any]
LORA_MODULES = r'.*language_model.*\.(q|k|v|o|gate|up|down)_proj'
IGNORED = -100
FILES = 'emola_jax.formats.hf_files'


def train_step(spec: Mapping[str, Any]) -> tuple[Callable[[], Figures], Figures]:
    """A call does one optimiser step.

    Args:
      spec: 'config', 'folder', 'dtype', 'threads' as `_load`; 'batch' of `shapes.training_batch`;
        'lora' and 'optimiser' as dicts; 'checkpointing', 'compile'.
    """
    net = _load(spec)
    lora = spec['lora']
    net = peft.get_peft_model(
        net,
        peft.LoraConfig(
            r=lora['rank'],
            lora_alpha=lora['alpha'],
            lora_dropout=lora['dropout'],
            target_modules=LORA_MODULES,
        ),
    )
    optimiser = spec['optimiser']
    groups: dict[float, list[Any]] = {optimiser['lr']: [], optimiser['projector_lr']: []}
    for name, parameter in net.named_parameters():
        if 'multi_modal_projector' in name or 'landmark_projector' in name:
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
        if parameter.requires_grad:
            own = optimiser['projector_lr' if 'multi_modal_projector' in name else 'lr']
            groups[own].append(parameter)
    adam = torch.optim.AdamW(
        [{'params': parameters, 'lr': rate} for rate, parameters in groups.items()],
        betas=(optimiser['b1'], optimiser['b2']),
        eps=optimiser['eps'],
        weight_decay=optimiser['weight_decay'],
        fused=True,
    )
    if spec['checkpointing']:
        net.gradient_checkpointing_enable(gradient_checkpointing_kwargs={'use_reentrant': False})
    net.train()
    run: Any = torch.compile(net) if spec['compile'] else net
    inputs = _inputs(net, spec['batch'])
    labels = torch.from_numpy(spec['batch']['targets']).long().roll(1, dims=1)
    trained = torch.from_numpy(spec['batch']['loss_weights']).roll(1, dims=1)
    labels = labels.masked_fill(trained == 0, IGNORED).to(_device())

    def call() -> Figures:
        adam.zero_grad(set_to_none=True)
        with _autocast(spec):
            loss = run(**inputs, labels=labels, use_cache=False).loss
        loss.backward()
        adam.step()
        return {'loss': float(loss.detach())}

    started = time.perf_counter()
    first = call()
    return call, {'first_loss': first['loss'], 'compile': time.perf_counter() - started}


def generation(spec: Mapping[str, Any]) -> Callable[..., Figures]:
    """A call answers the first `rows` questions, one by one or `together`.

    Args:
      spec: 'config', 'folder', 'dtype', 'threads' as `_load`; 'prompts' of `shapes.prompts`.
    """
    net = _load(spec).eval()

    @torch.inference_mode()
    def call(rows: int, new_tokens: int, together: bool = False) -> Figures:
        parts = [slice(rows)] if together else [slice(row, row + 1) for row in range(rows)]
        tokens = []
        for part in parts:
            inputs = _inputs(net, {name: array[part] for name, array in spec['prompts'].items()})
            written = net.generate(
                **inputs,
                attention_mask=torch.ones_like(inputs['input_ids']),
                generation_config=GenerationConfig(
                    max_new_tokens=new_tokens, do_sample=False, pad_token_id=0
                ),
            )
            tokens += written[:, inputs['input_ids'].shape[1] :].tolist()
        return {'tokens': tokens}

    return call


def matmul_rate(spec: Mapping[str, Any]) -> Callable[[], Figures]:
    """A call multiplies two square matrices of `size`, ten times."""
    torch.set_num_threads(spec['threads'])
    size = spec['size']
    a = torch.ones((size, size), dtype=getattr(torch, spec['dtype']), device=_device())

    def call() -> Figures:
        for _ in range(10):
            a @ a
        _wait()
        return {'operations': 10 * 2 * size**3}

    return call


def _load(spec: Mapping[str, Any]) -> Any:
    """The model, without adapter.

    Args:
      spec: 'config': of `convert.hf_config.emola_config`; 'folder': with model.safetensors, or None
        for random weights; 'dtype'; 'threads' of a CPU.
    """
    torch.set_num_threads(spec['threads'])
    torch.manual_seed(0)
    dtype = getattr(torch, spec['dtype'])
    configuration: Any = importlib.import_module(f'{FILES}.configuration_emola')
    modeling: Any = importlib.import_module(f'{FILES}.modeling_emola')
    config = configuration.EmolaConfig(**spec['config'])
    options: Any = {'attn_implementation': 'sdpa', 'dtype': dtype}
    build: Any = modeling.EmolaForConditionalGeneration
    if not spec['folder']:
        with torch.device(_device()):
            return build._from_config(config, **options)
    net, found = build.from_pretrained(
        spec['folder'],
        config=config,
        generation_config=GenerationConfig(),  # no eos: answers are as long as they are asked to be
        output_loading_info=True,
        **options,
    )
    if found['missing_keys'] or found['unexpected_keys'] or found['mismatched_keys']:
        raise ValueError(f'weights that do not fit: {found}')
    return net.to(_device())


def _inputs(net: Any, batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The batch as the class takes it; its pixels are normalised before, as a processor does."""
    config = net.config
    tokens = torch.from_numpy(batch['tokens']).long()
    pixels = batch['images'][:, 0].astype(np.float32) / 255
    pixels = (pixels - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)
    dtype = next(net.parameters()).dtype
    inputs = {
        'input_ids': tokens.masked_fill(tokens < 0, config.image_token_id),
        'pixel_values': torch.from_numpy(pixels).permute(0, 3, 1, 2).to(dtype).contiguous(),
        'landmarks': torch.from_numpy(batch['landmarks'][:, 0]),
    }
    return {name: value.to(_device()) for name, value in inputs.items()}


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def _autocast(spec: Mapping[str, Any]) -> Any:
    if spec['dtype'] == 'float32':
        return contextlib.nullcontext()
    return torch.autocast(_device(), getattr(torch, spec['dtype']))


def _device() -> str:
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
