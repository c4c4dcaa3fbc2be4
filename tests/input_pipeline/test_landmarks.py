import numpy as np
import pytest

from input_pipeline.landmarks import (
    FLIP_INDEX,
    GROUPS,
    POINTS,
    flip_landmarks,
    interocular_distance,
    noisy_landmarks,
)


@pytest.fixture
def face() -> np.ndarray:
    """Random points, with the two eye centres one unit apart."""
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (POINTS, 2))
    points[42], points[96] = (-0.25, 0.0), (0.25, 0.0)
    return points.reshape(-1).astype(np.float32)


def test_groups_cover_every_point_once():
    covered = [i for group in GROUPS.values() for i in range(group.start, group.stop)]
    assert sorted(covered) == list(range(POINTS))


def test_flipping_twice_changes_nothing_and_swaps_sides(face):
    np.testing.assert_array_equal(FLIP_INDEX[FLIP_INDEX], np.arange(POINTS))
    np.testing.assert_array_equal(flip_landmarks(flip_landmarks(face)), face)
    swapped = set(FLIP_INDEX[GROUPS['left_eye']])
    assert swapped == set(range(33, 43))
    batch = np.stack([face, face])
    np.testing.assert_array_equal(flip_landmarks(batch)[1], flip_landmarks(face))


@pytest.mark.parametrize('scale', [0.01, 0.03])
def test_noise_has_the_stated_size_and_is_correlated(scale):
    # A regular face: rings of points as wide as a real layout is in inter-ocular distances.
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    points = 0.9 * 0.5 * np.stack([np.cos(angle), np.sin(angle)], -1)
    points[42], points[96] = (-0.25, 0.0), (0.25, 0.0)
    face = points.reshape(-1).astype(np.float32)
    rng = np.random.default_rng(1)
    moves = np.stack(
        [(noisy_landmarks(face, rng, scale) - face).reshape(POINTS, 2) for _ in range(600)]
    )
    moves /= interocular_distance(face)
    root_mean_square = np.sqrt((moves**2).sum(-1).mean())
    assert root_mean_square == pytest.approx(scale, rel=0.12)
    # Independent noise alone would leave a mean move of scale / sqrt(106).
    shared = np.sqrt((moves.mean(1) ** 2).sum(-1).mean())
    assert 0.4 * scale < shared < 0.8 * scale
    assert np.abs(moves.mean(0)).max() < 0.3 * scale


def test_noise_depends_on_the_generator_only_and_keeps_absent_landmarks(face):
    first = noisy_landmarks(face, np.random.default_rng(3))
    np.testing.assert_array_equal(first, noisy_landmarks(face, np.random.default_rng(3)))
    assert np.abs(first - face).max() > 0
    np.testing.assert_array_equal(noisy_landmarks(face, np.random.default_rng(3), 0.0), face)
    absent = np.full(2 * POINTS, np.nan, np.float32)
    assert np.isnan(noisy_landmarks(absent, np.random.default_rng(3))).all()
