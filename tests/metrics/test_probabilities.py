import itertools

import numpy as np
import pytest

from emola_jax.metrics.probabilities import calibration_error, roc_auc


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
