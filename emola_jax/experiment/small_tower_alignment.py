"""Aligns both projectors with the language model's words, before LoRA is trained.

What LLaVA's first stage does with captions, in seconds: the visual tokens of a face, each alone and
all on average, and its prior token come to point where the embeddings of its emotion's word and of
its action units' names lie. Directions count, not lengths, since the language model normalises
every token before it reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32

from emola_jax.config.sections import TowerConfig
from emola_jax.experiment.small_tower_training import (
    Batch,
    Faces,
    Params,
    Senses,
    fit,
    label_loss,
)
from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.models.clip_vit import ClipVit, normalize_images
from emola_jax.models.projector import Projector
from emola_jax.parallel import sharding
from input_pipeline.landmarks import noisy_landmarks


@dataclasses.dataclass(frozen=True)
class WordTargets:
    """Where the projectors' outputs should point in the language model's embedding space.

    Attributes:
      emotions: f32[7, D], unit vectors: mean embedding of each emotion's word, centred.
      aus: f32[U, D], the same for the action units' codes and names.
      embedding_rms: root mean square of the embedding table's entries.
    """

    emotions: Float32[np.ndarray, 'C D']
    aus: Float32[np.ndarray, 'U D']
    embedding_rms: float

    @classmethod
    def from_embeddings(
        cls,
        embeddings: np.ndarray,
        encode: Callable[[str], list[int]],
        au_list: Sequence[int],
    ) -> WordTargets:
        """Looks the words up in an embedding table f32[V, D]."""

        def directions(texts: list[str]) -> np.ndarray:
            means = np.stack([embeddings[encode(text)].mean(0) for text in texts])
            centred = means - means.mean(0)
            return (centred / np.linalg.norm(centred, axis=-1, keepdims=True)).astype(np.float32)

        return cls(
            emotions=directions([f' {word}' for word in EMOTIONS]),
            aus=directions([f' AU{au} - {AU_NAMES[au]}' for au in au_list]),
            embedding_rms=float(np.sqrt(np.mean(np.square(embeddings, dtype=np.float64)))),
        )


def align_projectors(
    config: TowerConfig,
    senses: Senses,
    vision: Params,
    faces: Faces,
    words: WordTargets,
    mesh: Mesh,
) -> Params:
    """Points both projectors' outputs at the words for what a face shows.

    Afterwards both are scaled, so that a token is as large as the model's own embeddings.

    Returns:
      {'visual_projector': …, 'face_prior': {'mean', 'std', 'projector'}}.
    """
    projectors = _Projectors(senses)
    features = _all_features(senses, vision, faces.pixels)
    mean, std = faces.shown.mean(0), faces.shown.std(0) + 1e-6
    rng = np.random.default_rng(config.seed + 1)

    def sample(rng: np.random.Generator) -> Batch:
        rows = rng.integers(0, len(faces), config.align_batch_size)
        noisy = [noisy_landmarks(faces.shown[r], rng, config.landmark_noise) for r in rows]
        return {
            'features': features[rows],
            'landmarks': (np.stack(noisy) - mean) / std,
            'emotion': faces.emotion[rows],
            'aus': faces.aus[rows],
        }

    def loss(params: Params, batch: dict[str, Array]) -> Array:
        return _alignment_loss(projectors, params, words, batch)

    first = sample(rng)
    start = jax.jit(projectors.init)(
        jax.random.key(config.seed), first['features'], first['landmarks']
    )
    heads = {'scale': jnp.full(2, 10.0), 'bias': jnp.full(faces.aus.shape[1], -1.0)}
    params = fit(
        'align projectors',
        loss,
        {'projectors': sharding.unbox(start['params']), **dict.fromkeys(_HEADS, heads)},
        sample,
        steps=config.align_steps,
        lr=config.align_lr,
        weight_decay=0.0,
        seed=config.seed + 2,
        mesh=mesh,
    )['projectors']
    tokens = projectors.apply({'params': params}, first['features'], first['landmarks'])
    for name, token in zip(('visual_projector', 'prior_projector'), tokens, strict=True):
        params[name] = _scale_output(params[name], words.embedding_rms, token)
    return {
        'visual_projector': params['visual_projector'],
        'face_prior': {'mean': mean, 'std': std, 'projector': params['prior_projector']},
    }


_HEADS = ('visual', 'token', 'prior')


def _alignment_loss(
    projectors: _Projectors, params: Params, words: WordTargets, batch: dict[str, Array]
) -> Array:
    tokens: Any = projectors.apply(
        {'params': params['projectors']}, batch['features'], batch['landmarks']
    )
    visual, prior = (_directions(token) for token in tokens)
    return (
        _word_loss(visual.mean(axis=1), params['visual'], words, batch)
        + _word_loss(visual, params['token'], words, batch)
        + _word_loss(prior, params['prior'], words, batch)
    )


class _Projectors(nn.Module):
    senses: Senses

    @nn.compact
    def __call__(
        self, features: Float[Array, 'B T D'], landmarks: Float[Array, 'B 212']
    ) -> tuple[Float[Array, 'B T D'], Float[Array, 'B D']]:
        width, hidden = self.senses.width, self.senses.prior.hidden
        # Not torch's initial values: cached towers and published figures were made with these.
        visual = Projector(width, width, start='lecun', name='visual_projector')(features)
        prior = Projector(hidden or width, width, start='lecun', name='prior_projector')(landmarks)
        return visual, prior


def _directions(tokens: Float[Array, '*rows D']) -> Float[Array, '*rows D']:
    return tokens / jnp.linalg.norm(tokens, axis=-1, keepdims=True)


def _word_loss(
    token: Float[Array, 'B *tokens D'],
    heads: Params,
    words: WordTargets,
    batch: dict[str, Array],
) -> Array:
    direction = _directions(token)
    emotion = heads['scale'][0] * direction @ words.emotions.T
    aus = heads['scale'][1] * direction @ words.aus.T + heads['bias']
    return label_loss(emotion, aus, batch)


def _scale_output(projector: Params, rms: float, token: Float[Array, '*rows D']) -> Params:
    """The same projector with its last linear map scaled so that tokens have that rms."""
    factor = rms / float(jnp.sqrt(jnp.mean(jnp.square(token))))
    last = max(projector)
    return projector | {last: {name: leaf * factor for name, leaf in projector[last].items()}}


def _all_features(senses: Senses, vision: Params, pixels: np.ndarray) -> np.ndarray:
    tower = ClipVit(senses.vision)

    @jax.jit
    def run(params: Params, images: Array) -> Array:
        features = tower.apply({'params': params}, normalize_images(images, senses.vision))
        return jnp.asarray(features)

    chunks = np.array_split(pixels, max(len(pixels) // 64, 1))
    return np.concatenate([np.asarray(run(vision, chunk)) for chunk in chunks])
