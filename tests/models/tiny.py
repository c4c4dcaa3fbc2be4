"""Tiny random models and batches that several tests share."""

import functools

import flax.linen as nn
import jax
import numpy as np

from emola_jax.models.config import TINY, VISUAL_TOKEN
from emola_jax.models.emola import Emola, example_batch

TEXT_ONLY = TINY.replace(vision=None, prior=TINY.prior.__class__(enabled=False), lora=None)


def random_params(cfg, seed=0):
    """Parameters with no zeros and no ones left, so that every one of them matters."""
    shapes = jax.eval_shape(Emola(cfg).init, jax.random.key(0), example_batch(cfg))['params']
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: (
            (0.5 + rng.random(leaf.shape)).astype(np.float32)
            if leaf.ndim == 1 or 'std' in str(leaf)
            else rng.normal(0, 0.15, leaf.shape).astype(np.float32)
        ),
        nn.unbox(shapes),
    )


@functools.partial(jax.jit, static_argnames=('model', 'method'))
def run(model, params, batch, method=None):
    """`model.apply` without randomness, compiled (op by op it takes ten times as long)."""
    return model.apply({'params': params}, batch, method=method)


def conversation(cfg, text_length, seed):
    """One conversation as a row of its own: [1, visual tokens, text]."""
    rng = np.random.default_rng(seed)
    text = rng.integers(3, cfg.llm.vocab, text_length)
    tokens = np.concatenate([[1], np.full(cfg.visual_tokens, VISUAL_TOKEN), text]).astype(np.int32)
    batch = {
        'tokens': tokens[None],
        'positions': np.arange(len(tokens), dtype=np.int32)[None],
        'segment_ids': np.ones((1, len(tokens)), np.int32),
    }
    if cfg.vision is not None:
        size = cfg.vision.image_size
        batch['images'] = rng.integers(0, 256, (1, 1, size, size, 3), dtype=np.uint8)
    if cfg.reads_landmarks:
        batch['landmarks'] = rng.uniform(-1, 1, (1, 1, cfg.landmark_inputs)).astype(np.float32)
    return batch


def pack(conversations, length):
    """Joins conversations into one row of `length`, padded on the right."""
    row = {
        name: np.concatenate([c[name] for c in conversations], axis=1)
        for name in conversations[0]
        if name != 'segment_ids'
    }
    row['segment_ids'] = np.concatenate(
        [np.full_like(c['tokens'], index + 1) for index, c in enumerate(conversations)], axis=1
    )
    padding = length - row['tokens'].shape[1]
    for name in ('tokens', 'positions', 'segment_ids'):
        row[name] = np.pad(row[name], ((0, 0), (0, padding)))
    return row


def pad_left(conversations):
    """A batch of prompts, padded on the left to the longest."""
    length = max(c['tokens'].shape[1] for c in conversations)

    def grow(c, name):
        if name not in ('tokens', 'positions', 'segment_ids'):
            return c[name]
        return np.pad(c[name], ((0, 0), (length - c[name].shape[1], 0)))

    return {
        name: np.concatenate([grow(c, name) for c in conversations]) for name in conversations[0]
    }
