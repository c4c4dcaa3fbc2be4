import itertools

import numpy as np
import pytest

from emola_jax.metrics.probabilities import calibration_error, reliability, roc_auc


def test_auc_is_how_often_a_positive_is_above_a_negative():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
    pairs = list(itertools.product(scores[labels], scores[~labels]))
    wins = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs)
    assert roc_auc(scores, labels) == pytest.approx(wins / len(pairs))


def test_auc_needs_both_classes():
    assert np.isnan(roc_auc(np.arange(3.0), np.ones(3, bool)))


def test_calibration_error_is_the_mean_gap_of_its_bins():
    # Four at 0.9 of which three are right (gap 0.15), one at 0.2 that is wrong (gap 0.2).
    confidences = np.array([0.9, 0.9, 0.9, 0.9, 0.2])
    correct = np.array([True, True, True, False, False])
    assert calibration_error(confidences, correct) == pytest.approx((4 * 0.15 + 0.2) / 5)
    assert calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_a_reliability_diagram_shows_every_answer_once():
    confidences = np.array([0.0, 0.04, 0.62, 0.68, 1.0])
    correct = np.array([False, True, True, True, True])
    low, middle, high = reliability(confidences, correct)
    assert low == pytest.approx((0.02, 0.5, 2))
    assert middle == pytest.approx((0.65, 1.0, 2))
    assert high == (1.0, 1.0, 1)
    assert reliability(np.zeros(0), np.zeros(0, bool)) == []
