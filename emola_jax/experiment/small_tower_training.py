"""How the small vision tower learns to see: from labelled faces, by heads that are thrown away."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float
from tqdm import trange

from emola_jax.config.sections import TowerConfig
from emola_jax.facs import EMOTIONS
from emola_jax.files.json_values import JsonObject
from emola_jax.models.clip_vit import ClipVit, normalize_images
from emola_jax.models.config import PriorConfig, VisionConfig
from emola_jax.parallel import sharding
from input_pipeline.landmarks import flip_landmarks
from input_pipeline.records import Record

Params = dict[str, Any]
Batch = dict[str, np.ndarray]

AU_LOSS_WEIGHT = 4.0
LANDMARK_LOSS_WEIGHT = 1.0


@dataclasses.dataclass(frozen=True)
class Senses:
    """Sizes of what is trained here.

    Attributes:
      vision: of the vision tower.
      prior: of the face prior.
      width: of the language model, D.
    """

    vision: VisionConfig
    prior: PriorConfig
    width: int

    def recipe(self) -> JsonObject:
        """What the weights depend on: of the prior its sizes, not where its landmarks come from."""
        prior = dataclasses.asdict(self.prior)
        sizes = {name: prior[name] for name in ('inputs', 'hidden', 'standardize', 'enabled')}
        return {**dataclasses.asdict(self), 'prior': sizes}


@dataclasses.dataclass(frozen=True)
class Faces:
    """Labelled faces in memory.

    Attributes:
      pixels: u8[n, H, W, 3].
      landmarks: f32[n, 212] in [-1, 1], exact: what the vision tower learns to predict.
      shown: f32[n, 212], those that a run's prior is given.
      emotion: i32[n], 0..6.
      aus: f32[n, U], 1 where the action unit is present.
    """

    pixels: np.ndarray
    landmarks: np.ndarray
    shown: np.ndarray
    emotion: np.ndarray
    aus: np.ndarray

    @classmethod
    def from_records(
        cls,
        records: Sequence[Record],
        shown: Sequence[np.ndarray],
        pixels: Callable[[Record], np.ndarray],
        au_list: Sequence[int],
    ) -> Faces:
        """One face for each distinct picture among `records`.

        Args:
          records: with exact landmarks.
          shown: f32[212] of each record, what a run's prior is given.
          pixels: record -> u8[H, W, 3].
          au_list: the action units, in order.
        """
        pairs = {record.image: (record, seen) for record, seen in zip(records, shown, strict=True)}
        unique = [record for record, _ in pairs.values()]
        return cls(
            pixels=np.stack([pixels(record) for record in unique]),
            landmarks=np.stack([record.landmarks for record in unique]),
            shown=np.stack([seen for _, seen in pairs.values()]),
            emotion=np.asarray([record.emotion for record in unique], np.int32),
            aus=np.asarray([[au in r.aus for au in au_list] for r in unique], np.float32),
        )

    def __len__(self) -> int:
        return len(self.emotion)


class _Readings(NamedTuple):
    """The heads' outputs; those of a token see that token alone.

    Attributes:
      emotion, aus: logits.
      landmarks: standardised.
      token_emotion, token_aus: logits of every token.
    """

    emotion: Float[Array, 'B C']
    aus: Float[Array, 'B U']
    landmarks: Float[Array, 'B 212']
    token_emotion: Float[Array, 'B T C']
    token_aus: Float[Array, 'B T U']


class _Reader(nn.Module):
    """A vision tower with linear heads; the heads are thrown away.

    Heads on all features together teach it to see. Heads on each token make it spread what it saw:
    CLIP's tokens know of the whole picture too, and a language model reads such tokens far sooner
    than ones that mean something only together.
    """

    senses: Senses
    au_count: int

    @nn.compact
    def __call__(self, images: Float[Array, 'B H W 3']) -> _Readings:
        features = ClipVit(self.senses.vision, name='vision')(images)
        flat = features.reshape(features.shape[0], -1)
        return _Readings(
            nn.Dense(len(EMOTIONS), name='emotion')(flat),
            nn.Dense(self.au_count, name='aus')(flat),
            nn.Dense(self.senses.prior.inputs, name='landmarks')(flat),
            nn.Dense(len(EMOTIONS), name='token_emotion')(features),
            nn.Dense(self.au_count, name='token_aus')(features),
        )


def label_loss(
    emotion: Float[Array, 'B *tokens C'], aus: Float[Array, 'B *tokens U'], batch: dict[str, Array]
) -> Array:
    """The loss of logits, of a face or of each of its tokens, against what the face shows."""
    tokens = emotion.shape[1:-1]
    axes = tuple(range(1, 1 + len(tokens)))
    labels = jnp.broadcast_to(jnp.expand_dims(batch['emotion'], axes), emotion.shape[:-1])
    present = jnp.broadcast_to(jnp.expand_dims(batch['aus'], axes), aus.shape)
    return (
        optax.softmax_cross_entropy_with_integer_labels(emotion, labels).mean()
        + AU_LOSS_WEIGHT * optax.sigmoid_binary_cross_entropy(aus, present).mean()
    )


def train_vision(
    config: TowerConfig, senses: Senses, faces: Faces, held_out: Faces, mesh: Mesh
) -> tuple[Params, dict[str, float]]:
    """Trains the vision tower to read emotion, action units and landmarks off the pixels.

    Returns:
      (parameters of the vision tower, scores of its heads on `held_out`).
    """
    reader = _Reader(senses, faces.aus.shape[1])
    mean, std = faces.landmarks.mean(0), faces.landmarks.std(0) + 1e-6

    def loss(params: Params, batch: dict[str, Array]) -> Array:
        images = normalize_images(batch['pixels'], senses.vision)
        seen: Any = reader.apply({'params': params}, images)
        return (
            label_loss(seen.emotion, seen.aus, batch)
            + label_loss(seen.token_emotion, seen.token_aus, batch)
            + LANDMARK_LOSS_WEIGHT * jnp.square(seen.landmarks - batch['landmarks']).mean()
        )

    def sample(rng: np.random.Generator) -> Batch:
        rows = rng.integers(0, len(faces), config.batch_size)
        pixels, landmarks = _augment(
            faces.pixels[rows], faces.landmarks[rows], config.max_shift, rng
        )
        return {
            'pixels': pixels,
            'landmarks': (landmarks - mean) / std,
            'emotion': faces.emotion[rows],
            'aus': faces.aus[rows],
        }

    side = senses.vision.image_size
    params = jax.jit(reader.init)(jax.random.key(config.seed), jnp.zeros((1, side, side, 3)))
    params = fit(
        'vision tower',
        loss,
        sharding.unbox(params['params']),
        sample,
        steps=config.steps,
        lr=config.lr,
        weight_decay=config.weight_decay,
        seed=config.seed,
        mesh=mesh,
    )
    return params['vision'], _read_score(reader, params, senses, held_out)


def fit(
    title: str,
    loss: Callable[[Params, dict[str, Array]], Array],
    params: Params,
    sample: Callable[[np.random.Generator], Batch],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    seed: int,
    mesh: Mesh,
) -> Params:
    """Minimises `loss` over `params` with AdamW; shared by the tower and the projectors.

    Args:
      title: of the progress bar.
      loss: (params, batch) -> scalar.
      params: where to start.
      sample: draws a batch of host arrays, each with the batch on axis 0.
      steps: updates.
      lr: peak rate; warmed up over 5 % of the steps and decayed to 0 by a cosine.
      weight_decay: AdamW's.
      seed: of the generator that `sample` is given.
      mesh: a batch is spread over its devices.

    Returns:
      The trained parameters as host arrays.
    """
    rate = optax.warmup_cosine_decay_schedule(0.0, lr, max(steps // 20, 1), max(steps, 2))
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.98, weight_decay=weight_decay)
    )

    @jax.jit
    def step(params: Params, state: Any, batch: dict[str, Array]) -> tuple[Params, Any, Array]:
        value, gradients = jax.value_and_grad(loss)(params, batch)
        updates, state = optimiser.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    rng = np.random.default_rng(seed)
    params = jax.device_put(params, sharding.replicated(mesh))
    state = jax.device_put(optimiser.init(params), sharding.replicated(mesh))
    bar = trange(steps, desc=title, unit='step', dynamic_ncols=True)
    for index in bar:
        params, state, value = step(params, state, sharding.shard_batch(sample(rng), mesh))
        if index % 20 == 19:
            bar.set_postfix(loss=f'{float(value):.3f}')
    return jax.tree.map(np.asarray, params)


def _augment(
    pixels: np.ndarray, landmarks: np.ndarray, max_shift: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random shift, mirror and light; the landmarks move along."""
    side = pixels.shape[1]
    padded = np.pad(
        pixels, ((0, 0), (max_shift, max_shift), (max_shift, max_shift), (0, 0)), mode='edge'
    )
    out = np.empty_like(pixels)
    moved = landmarks.copy()
    for row, (dy, dx) in enumerate(rng.integers(0, 2 * max_shift + 1, (len(pixels), 2))):
        face = padded[row, dy : dy + side, dx : dx + side].astype(np.float32)
        moved[row] += np.tile([max_shift - dx, max_shift - dy], 106) * (2.0 / side)
        if rng.random() < 0.5:
            face, moved[row] = face[:, ::-1], flip_landmarks(moved[row])
        light = rng.uniform(0.8, 1.2) * rng.uniform(0.94, 1.06, 3)
        out[row] = np.clip(face * light + rng.normal(0.0, 8.0), 0, 255)
    return out, moved


def _read_score(reader: _Reader, params: Params, senses: Senses, faces: Faces) -> dict[str, float]:
    """Emotion accuracy and mean F1 (AUs with five positives or more) of the heads, in percent."""
    images = normalize_images(jnp.asarray(faces.pixels), senses.vision)
    seen: Any = jax.jit(reader.apply)({'params': params}, images)
    hits = np.asarray(seen.aus) > 0
    truth = faces.aus > 0
    supported = truth.sum(0) >= 5
    f1 = 2 * (hits & truth).sum(0) / np.maximum(hits.sum(0) + truth.sum(0), 1)
    return {
        'faces': float(len(faces)),
        'emotion_accuracy': 100
        * float((np.asarray(seen.emotion).argmax(-1) == faces.emotion).mean()),
        'au_mean_f1': 100 * float(f1[supported].mean()) if supported.any() else 0.0,
    }
