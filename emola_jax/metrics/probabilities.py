"""How good probabilities are: whether they rank well, and whether they mean what they say."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

BINS = 10


def roc_auc(scores: Float[np.ndarray, 'n'], labels: Bool[np.ndarray, 'n']) -> float:
    """Area under the ROC curve: how often a positive has the higher score, a tie being half.

    Args:
      scores: in any unit, higher for positives.
      labels: which are positive.

    Returns:
      0..1; NaN unless there are positives and negatives.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float('nan')
    ranks = stats.rankdata(scores)
    above = ranks[labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def reliability(
    confidences: Float[np.ndarray, 'n'], correct: Bool[np.ndarray, 'n'], bins: int = BINS
) -> list[tuple[float, float, int]]:
    """What a reliability diagram shows, for bins of equal width that are not empty.

    Args:
      confidences: probabilities that were given, in 0..1.
      correct: whether what they were given to is true.
      bins: over 0..1.

    Returns:
      (mean confidence, share that is true, how many) of each bin, from low to high.
    """
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    members = [place == i for i in range(bins)]
    return [
        (float(confidences[inside].mean()), float(correct[inside].mean()), int(inside.sum()))
        for inside in members
        if inside.any()
    ]


def calibration_error(
    confidences: Float[np.ndarray, 'n'], correct: Bool[np.ndarray, 'n'], bins: int = BINS
) -> float:
    """Expected calibration error (Guo et al., 2017): mean gap of confidence and frequency.

    Args:
      confidences: probabilities that were given, in 0..1.
      correct: whether what they were given to is true.
      bins: of equal width; each counts by how many fall into it.
    """
    shown = reliability(confidences, correct, bins)
    return sum(n * abs(given - true) for given, true, n in shown) / max(len(confidences), 1)
