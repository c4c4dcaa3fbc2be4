"""What each answer contributes to REGE, and the scores that sums of contributions give.

A row of contributions holds, for every class (emotion or action unit), whether it was hit, labelled
and predicted, then the ROUGE-L of the sample and whether that counts. All scores of a run, of a
bootstrap replicate and of a run with answers exchanged are functions of sums of such rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from emola_jax.metrics import resampling

Rows = Float[np.ndarray, 'rows columns']


@dataclass(frozen=True)
class Evidence:
    """The contributions of all samples under one scoring.

    Attributes:
      members: of each class whether it was hit, then labelled, then predicted.
      rouge: of each sample ROUGE-L, and 1.0 if that counts.
      by_f1: whether S_re is a mean of F1 (action units); else it is the share of hits (emotions).
      one_class_counts: whether a class that every sample has, in label and answer, is scored; the
        released script leaves it out.
    """

    members: Bool[np.ndarray, 'samples memberships']
    rouge: Float[np.ndarray, 'samples 2']
    by_f1: bool
    one_class_counts: bool = True

    @classmethod
    def gather(
        cls,
        predicted: Bool[np.ndarray, 'samples classes'],
        labelled: Bool[np.ndarray, 'samples classes'],
        rouge_l: Sequence[float | None],
        *,
        by_f1: bool,
        one_class_counts: bool = True,
    ) -> Evidence:
        """Evidence of memberships and ROUGE-L values; a None is left out of the mean."""
        members = np.concatenate([predicted & labelled, labelled, predicted], axis=1)
        # None becomes NaN.
        known = np.array(rouge_l, float)
        counts = ~np.isnan(known)
        rouge = np.stack([np.where(counts, known, 0.0), counts], axis=1)
        return cls(members, rouge, by_f1, one_class_counts)

    @property
    def rows(self) -> Rows:
        """All contributions as numbers, a row a sample."""
        return np.concatenate([self.members, self.rouge], axis=1)

    def total(self) -> Float[np.ndarray, '1 columns']:
        """Sums over all samples, the same in whichever order they come."""
        counts = self.members.sum(axis=0, dtype=float)
        return np.array([[*counts, *(math.fsum(column) for column in self.rouge.T)]])

    def f1(self, sums: Rows) -> Float[np.ndarray, 'rows classes']:
        """F1 of every class in percent; NaN where it is not scored."""
        hits, labelled, predicted = self._counts(sums)
        either = labelled + predicted
        scored = either > 0
        if not self.one_class_counts:
            scored &= either < 2 * len(self.members)
        return _ratio(200 * hits, np.where(scored, either, 0))

    def accuracy(self, sums: Rows) -> Float[np.ndarray, 'rows classes']:
        """Share of samples, in percent, whose answer agrees with the label about each class."""
        hits, labelled, predicted = self._counts(sums)
        disagreeing = labelled + predicted - 2 * hits
        return 100 * (len(self.members) - disagreeing) / len(self.members)

    def s_re(self, sums: Rows) -> Float[np.ndarray, 'rows']:
        """Recognition in percent."""
        if self.by_f1:
            return _mean(self.f1(sums))
        return 100 * self._counts(sums)[0].sum(axis=1) / len(self.members)

    def macro_f1(self, sums: Rows) -> Float[np.ndarray, 'rows']:
        """Mean F1 of the scored classes in percent."""
        return _mean(self.f1(sums))

    def s_ge(self, sums: Rows) -> Float[np.ndarray, 'rows']:
        """Mean ROUGE-L in percent."""
        return _ratio(100 * sums[:, -2], sums[:, -1])

    def s_rege(self, sums: Rows) -> Float[np.ndarray, 'rows']:
        """Their sum."""
        return self.s_re(sums) + self.s_ge(sums)

    def chance(self, sums: Rows) -> Float[np.ndarray, 'rows']:
        """S_re to expect of the same answers dealt to the samples at random."""
        _, labelled, predicted = self._counts(sums)
        dealt = labelled * predicted / len(self.members)
        if self.by_f1:
            scored = ~np.isnan(self.f1(sums))
            return _mean(_ratio(200 * dealt, np.where(scored, labelled + predicted, 0)))
        return 100 * dealt.sum(axis=1) / len(self.members)

    def positives(self) -> list[int]:
        """How many samples each class labels."""
        return [int(count) for count in self._counts(self.total())[1][0]]

    def _counts(self, sums: Rows) -> tuple[Rows, Rows, Rows]:
        classes = (sums.shape[1] - 2) // 3
        return sums[:, :classes], sums[:, classes : 2 * classes], sums[:, 2 * classes : -2]


def replicates(
    found: Sequence[Evidence], classes: Sequence[int], count: int, seed: int
) -> list[Rows]:
    """Bootstrap sums of scorings of the same samples, which share the draws.

    They depend on neither the samples' order nor that of the classes.

    Args:
      found: the scorings.
      classes: what each class is, in the order of the columns.
      count: how many replicates.
      seed: of the draws.
    """
    order = np.argsort(classes, kind='stable')
    width = len(classes)
    columns = np.concatenate([order, order + width, order + 2 * width])
    parts: list[np.ndarray] = []
    for evidence in found:
        parts += resampling.canonical(evidence.members[:, columns], evidence.rouge)
    sums = resampling.bootstrap_sums(parts, count, seed)
    back = np.argsort(columns)
    return [
        np.concatenate([members[:, back], rouge], axis=1)
        for members, rouge in zip(sums[::2], sums[1::2], strict=True)
    ]


def value(scores: Float[np.ndarray, '1']) -> float | None:
    """The score of one row of sums; None if it is not defined."""
    return None if np.isnan(scores[0]) else float(scores[0])


def values(scores: Float[np.ndarray, '1 classes']) -> list[float | None]:
    """The scores of the classes of one row of sums."""
    return [value(scores[:, i]) for i in range(scores.shape[1])]


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _mean(scores: Float[np.ndarray, 'rows classes']) -> Float[np.ndarray, 'rows']:
    """Mean of the defined scores, the same in whichever order the classes come."""
    defined = ~np.isnan(scores)
    ordered = np.sort(np.where(defined, scores, 0.0), axis=1)
    return _ratio(ordered.sum(axis=1), defined.sum(axis=1))
