"""The recipe of the small tower, on faces whose label one patch alone shows."""

import numpy as np
import pytest
from scipy.special import expit, log_expit, log_softmax

from emola_jax.config.sections import TowerConfig
from emola_jax.experiment.small_tower_alignment import WordTargets, _all_features, align_projectors
from emola_jax.experiment.small_tower_training import (
    Faces,
    Senses,
    label_loss,
    train_vision,
)
from emola_jax.models.config import PriorConfig, VisionConfig
from emola_jax.models.projector import Projector
from emola_jax.parallel import sharding

CLASSES, WIDTH = 4, 24
SENSES = Senses(
    VisionConfig(image_size=28, patch_size=7, width=32, layers=3, heads=4, mlp=64, spatial_merge=2),
    PriorConfig(standardize=True),
    WIDTH,
)
RECIPE = TowerConfig(
    steps=160,
    batch_size=32,
    lr=3e-3,
    weight_decay=0.0,
    max_shift=0,
    align_steps=100,
    align_batch_size=32,
    align_lr=3e-3,
    landmark_noise=0.0,
    seed=0,
)


def faces(count, seed):
    """Grey pictures; the class is how bright the upper left patch is. Landmarks say nothing."""
    rng = np.random.default_rng(seed)
    emotion = rng.integers(0, CLASSES, count)
    pixels = rng.integers(100, 120, (count, 28, 28, 3)).astype(np.uint8)
    pixels[:, :7, :7] = (60 * emotion + 20)[:, None, None, None]
    landmarks = rng.normal(0, 0.3, (count, 212)).astype(np.float32)
    aus = np.stack([emotion % 2 == 0, emotion > 1], axis=1).astype(np.float32)
    # What a prior is given here; the exact ones lack it.
    patterns = np.random.default_rng(9).normal(size=(CLASSES, 212))
    shown = (patterns[emotion] + landmarks).astype(np.float32)
    return Faces(pixels, landmarks, shown, emotion.astype(np.int32), aus)


@pytest.fixture(scope='module')
def made():
    rng = np.random.default_rng(5)

    def directions(count):
        found = rng.normal(size=(count, WIDTH))
        return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)

    words = WordTargets(directions(7), directions(2), embedding_rms=0.1)
    mesh = sharding.local_mesh()
    vision, report = train_vision(RECIPE, SENSES, faces(400, 1), faces(80, 2), mesh)
    aligned = align_projectors(RECIPE, SENSES, vision, faces(400, 1), words, mesh)
    return vision, report, aligned, words


def said(tokens, words):
    """The emotion whose word each token is nearest to."""
    tokens = np.asarray(tokens)
    return (tokens / np.linalg.norm(tokens, axis=-1, keepdims=True) @ words.emotions.T).argmax(-1)


def test_the_heads_read_held_out_faces(made):
    _, report, _, _ = made
    assert report['emotion_accuracy'] > 95 and report['au_mean_f1'] > 95


def test_every_token_says_what_one_patch_shows(made):
    vision, _, aligned, words = made
    held_out = faces(80, 2)
    features = _all_features(SENSES, vision, held_out.pixels)
    tokens = Projector(WIDTH, WIDTH).apply({'params': aligned['visual_projector']}, features)
    assert tokens.shape[1] == 4
    right = said(tokens, words) == held_out.emotion[:, None]
    assert right.mean(0).min() > 0.9


def test_the_prior_learns_the_landmarks_that_runs_are_shown(made):
    _, _, aligned, words = made
    held_out, prior = faces(80, 2), aligned['face_prior']
    given = (held_out.shown - prior['mean']) / prior['std']
    tokens = Projector(WIDTH, WIDTH).apply({'params': prior['projector']}, given)
    assert (said(tokens, words) == held_out.emotion).mean() > 0.9


def test_the_loss_of_tokens_is_the_mean_of_theirs():
    rng = np.random.default_rng(0)
    emotion, aus = (rng.normal(size=(3, 5, n)).astype(np.float32) for n in (7, 2))
    batch = {'emotion': np.array([0, 6, 2]), 'aus': np.array([[1, 0], [0, 0], [1, 1]], np.float32)}
    cross = [-log_softmax(emotion[i, t])[batch['emotion'][i]] for i in range(3) for t in range(5)]
    present = np.broadcast_to(batch['aus'][:, None], aus.shape)
    binary = -(present * log_expit(aus) + (1 - present) * np.log1p(-expit(aus)))
    expected = np.mean(cross) + 4 * binary.mean()
    assert label_loss(emotion, aus, batch) == pytest.approx(expected, rel=1e-5)
    alone = [label_loss(emotion[:, t], aus[:, t], batch) for t in range(5)]
    assert np.mean(alone) == pytest.approx(expected, rel=1e-5)
