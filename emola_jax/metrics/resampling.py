"""Error bars and paired tests over samples, from sums of what each sample contributes.

A score here is a function of sums over samples (hits, labels, ROUGE-L), so a resampled score needs
no texts: 2,000 bootstrap replicates are one product of a matrix of draw counts with the matrix of
contributions. Everything is seeded: the same samples give the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from emola_jax.metrics.scores import Interval, PairedTest

Contributions = Float[np.ndarray, 'samples columns']
Measure = Callable[[Float[np.ndarray, 'replicates columns']], Float[np.ndarray, 'replicates']]
"""A score of each row of sums; NaN where it is not defined."""

REPLICATES = 2000
SHUFFLES = 9999
_CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 1 << 22
_ROUNDING = 1e-9
"""Differences of percentages closer than this are equal but for rounding."""


def canonical(*parts: np.ndarray) -> list[np.ndarray]:
    """The rows in sorted order, so that resampling does not depend on the order of the samples.

    Args:
      *parts: columns of the same samples [samples, columns], which sort together.
    """
    keys = [column for part in parts for column in part.T]
    order = np.lexsort(keys[::-1])
    return [part[order] for part in parts]


def bootstrap_sums(
    parts: Sequence[np.ndarray], replicates: int = REPLICATES, seed: int = 0
) -> list[Float[np.ndarray, 'replicates columns']]:
    """Sums over `replicates` draws of as many samples, with replacement (Efron, 1979).

    Args:
      parts: contributions [samples, columns], of bools or numbers; all of them get the same draws.
      replicates: how many draws.
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    samples = len(parts[0])
    # Sums of bools are whole numbers, which float32 holds up to 2**24.
    small = np.float32 if samples < 1 << 24 else np.float64
    matrices = [part.astype(small if part.dtype == bool else np.float64) for part in parts]
    sums: list[list[np.ndarray]] = [[] for _ in parts]
    for rows in _chunks(replicates, samples):
        draws = rng.integers(0, samples, (rows, samples))
        draws += samples * np.arange(rows)[:, None]
        counts = np.bincount(draws.ravel(), minlength=rows * samples).reshape(rows, samples)
        as_types = {kind: counts.astype(kind) for kind in {matrix.dtype for matrix in matrices}}
        for found, matrix in zip(sums, matrices, strict=True):
            found.append((as_types[matrix.dtype] @ matrix).astype(float))
    return [np.concatenate(found) for found in sums]


def interval(values: Float[np.ndarray, 'replicates']) -> Interval | None:
    """95 % percentile interval (low, high) of the defined values; None if there is none."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        return None
    tail = 50 * (1 - _CONFIDENCE)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def paired_test(
    first: Contributions,
    second: Contributions,
    measure: Measure,
    *,
    replicates: int = REPLICATES,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> PairedTest:
    """Whether two runs differ on the same samples, row by row.

    The interval resamples the samples, keeping both answers together. The p-value is two-sided and
    by approximate randomisation (Noreen, 1989): were the runs alike, exchanging their answers to a
    sample would change nothing. For an accuracy it approaches the exact sign test of McNemar.

    Returns:
      The difference is first minus second; all is None where a score is not defined.
    """
    width = first.shape[1]
    (both,) = canonical(np.concatenate([first, second], axis=1))
    first, second = both[:, :width], both[:, width:]

    def difference(sums: Float[np.ndarray, 'rows columns']) -> Float[np.ndarray, 'rows']:
        return measure(sums[:, :width]) - measure(sums[:, width:])

    observed = float(difference(both.sum(axis=0)[None])[0])
    if np.isnan(observed):
        return PairedTest(None, None, None)
    rng = np.random.default_rng(seed)
    change, total = second - first, both.sum(axis=0)
    beyond = 0
    for rows in _chunks(shuffles, len(both)):
        exchanged = rng.integers(0, 2, (rows, len(both)), dtype=np.int8) @ change
        sums = total + np.concatenate([exchanged, -exchanged], axis=1)
        beyond += int((np.abs(difference(sums)) >= abs(observed) - _ROUNDING).sum())
    return PairedTest(
        observed,
        interval(difference(bootstrap_sums([both], replicates, seed)[0])),
        (1 + beyond) / (1 + shuffles),
    )


def _chunks(rows: int, samples: int) -> Iterator[int]:
    size = max(1, _DRAWS_AT_ONCE // samples)
    for first in range(0, rows, size):
        yield min(size, rows - first)
