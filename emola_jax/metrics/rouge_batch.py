"""ROUGE-L of many text pairs at once, exactly, in one compiled program a length bucket.

The longest common subsequences of every sentence of a reference with every sentence of its
prediction are found together. A prediction is one long row of bits, a bit a word, and a separator
bit before each sentence; a word of the reference updates the whole row with one addition, whose
carries move the steps of the dynamic-programming table (Hyyrö, "Bit-parallel LCS-length computation
revisited", 2004). A separator swallows the carry, so sentences do not touch. Subsequences of the
same length differ in their words, and the `rouge` package keeps those on the path that it walks
back from the end: left until the words agree or only the upper cell is larger. Such a walk, too,
is one addition a row, with the bits in reverse order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from emola_jax.metrics import lcs, rouge

Pair = tuple[str, str]
"""A prediction and its reference."""

_BITS = 32
_ONES = np.uint32(0xFFFFFFFF)
_SEPARATOR, _PAD = lcs.SEPARATOR, -2
_SHORTEST = 64
"""Words and separators of the smallest bucket; each bucket is twice as long as the one before."""
_LONGEST = 16_384
"""Of the largest bucket; longer pairs leave the device (`lcs`), whose memory bounds them."""
_PAIRS = 1 << 16
"""Pairs whose words are held as numbers at a time."""
_CELLS = 1 << 24
"""Table cells of one call: bounds its memory (two bits a cell) and fills the vector units."""


def rouge_l(pairs: Sequence[Pair]) -> list[float]:
    """`rouge.rouge_l` of every (prediction, reference)."""
    return [score for part in _parts(pairs) for score in _rouge_l(part)]


def rouge_score_l(pairs: Sequence[Pair]) -> list[float]:
    """`rouge.rouge_score_l` of every (prediction, reference)."""
    return [score for part in _parts(pairs) for score in _rouge_score_l(part)]


def _parts(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    for first in range(0, len(pairs), _PAIRS):
        yield pairs[first : first + _PAIRS]


def _rouge_l(pairs: Sequence[Pair]) -> list[float]:
    coded = _coded(
        [(rouge.sentences(prediction), rouge.sentences(ref)) for prediction, ref in pairs]
    )
    scores = [0.0] * len(pairs)

    def score(index: int, hit: Sequence[bool]) -> None:
        predicted, expected = coded[index]
        scores[index] = rouge.f1(
            len(set(compress(expected, hit))), len(set(predicted)) - 1, len(set(expected)) - 1
        )

    for indices, predictions, references in _batches(coded):
        hits = np.asarray(_union_hits(predictions, references)).T
        for index, hit in zip(indices, hits, strict=False):
            score(index, hit)
    for index in _too_long(coded):
        score(index, lcs.union_hits(*coded[index]))
    return scores


def _rouge_score_l(pairs: Sequence[Pair]) -> list[float]:
    coded = _coded([([rouge.tokens(p)], [rouge.tokens(r)]) for p, r in pairs])
    scores = [0.0] * len(pairs)

    def score(index: int, length: int) -> None:
        predicted, expected = coded[index]
        scores[index] = rouge.lcs_f1(length, len(predicted) - 1, len(expected) - 1)

    for indices, predictions, references in _batches(coded):
        lengths = np.asarray(_lcs_length(predictions, references)).tolist()
        for index, length in zip(indices, lengths, strict=False):
            score(index, length)
    for index in _too_long(coded):
        score(index, lcs.length(coded[index][0][1:], coded[index][1]))
    return scores


def _coded(
    texts: Iterable[tuple[list[list[str]], list[list[str]]]],
) -> list[tuple[list[int], list[int]]]:
    """Words as numbers, the same word as the same number, a separator before each sentence."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    number = numbers.__getitem__

    def code(sentences: list[list[str]]) -> list[int]:
        row: list[int] = []
        for sentence in sentences:
            row.append(_SEPARATOR)
            row.extend(map(number, sentence))
        return row

    return [(code(prediction), code(reference)) for prediction, reference in texts]


def _batches(
    coded: Sequence[tuple[list[int], list[int]]],
) -> Iterable[tuple[list[int], Int[np.ndarray, 'length rows'], Int[np.ndarray, 'length rows']]]:
    """Groups pairs of like length: their indices, predictions and references, padded."""
    buckets: dict[int, list[int]] = defaultdict(list)
    for index, pair in enumerate(coded):
        longest = max(_SHORTEST, *map(len, pair))
        if longest <= _LONGEST and min(map(len, pair)) > 1:
            buckets[1 << (longest - 1).bit_length()].append(index)
    for length, indices in buckets.items():
        rows = max(1, _CELLS // length**2)
        for first in range(0, len(indices), rows):
            chunk = indices[first : first + rows]
            yield (
                chunk,
                _padded([coded[i][0] for i in chunk], length, rows),
                _padded([coded[i][1] for i in chunk], length, rows),
            )


def _too_long(coded: Sequence[tuple[list[int], list[int]]]) -> list[int]:
    """Indices of the pairs whose table would not fit: they are computed one by one."""
    lengths = [sorted(map(len, pair)) for pair in coded]
    return [i for i, (least, most) in enumerate(lengths) if least > 1 and most > _LONGEST]


def _padded(texts: Sequence[list[int]], length: int, rows: int) -> Int[np.ndarray, 'length rows']:
    padded = np.full((rows, length), _PAD, np.int32)
    lengths = np.zeros(rows, int)
    lengths[: len(texts)] = [len(text) for text in texts]
    padded[np.arange(length) < lengths[:, None]] = np.concatenate(texts)
    # The pairs go last, where vector units want the long axis.
    return np.ascontiguousarray(padded.T)


@jax.jit
def _union_hits(
    prediction: Int[Array, 'length rows'], reference: Int[Array, 'length rows']
) -> Bool[Array, 'length rows']:
    """Which words of the reference lie on some common subsequence that the package keeps."""
    columns = prediction.reshape(-1, _BITS, prediction.shape[1])
    separators = _packed(columns == _SEPARATOR)
    words = _packed(columns >= 0)
    fresh = ~separators

    def down(steps: Array, word: Array) -> tuple[Array, tuple[Array, Array]]:
        matches = _packed((word == columns) & (word >= 0))
        after, upper = _next_row(steps, matches)
        after = jnp.where(word == _SEPARATOR, fresh, after & fresh)
        return after, (_reversed(matches), _reversed(~(matches | upper | separators)))

    _, (matches, passed) = lax.scan(down, fresh, reference)
    # The last word of each sentence: a word before a separator, before padding or at the end.
    ends = _reversed(words & ~_shifted_down(words))

    def up(place: Array, row: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        word, matches, passed = row
        landed = _sum(passed, place) & ~passed
        taken = landed & matches
        place = _shifted_up(taken) | (landed & ~taken)
        return jnp.where(word < 0, ends, place), jnp.any(taken != 0, axis=0)

    _, hits = lax.scan(up, ends, (reference, matches, passed), reverse=True)
    return hits


@jax.jit
def _lcs_length(
    prediction: Int[Array, 'length rows'], reference: Int[Array, 'length rows']
) -> Int[Array, 'rows']:
    """Length of the longest common subsequence of two texts of one sentence each."""
    columns = prediction.reshape(-1, _BITS, prediction.shape[1])
    fresh = jnp.full((columns.shape[0], columns.shape[2]), _ONES)

    def down(steps: Array, word: Array) -> tuple[Array, None]:
        matches = _packed((word == columns) & (word >= 0))
        return _next_row(steps, matches)[0], None

    steps, _ = lax.scan(down, fresh, reference)
    return lax.population_count(~steps).sum(axis=0)


def _next_row(
    steps: UInt32[Array, 'words rows'], matches: UInt32[Array, 'words rows']
) -> tuple[UInt32[Array, 'words rows'], UInt32[Array, 'words rows']]:
    """One row of the table further down.

    Args:
      steps: bit j is 0 where the table grows by one from column j-1 to column j.
      matches: bit j is 1 where column j is the word of the new row.

    Returns:
      The new row's steps, and the columns whose upper neighbour is larger than the left one.
    """
    pushed = steps & matches
    total = _sum(steps, pushed)
    after = total | (steps & ~matches)
    carried = total ^ steps ^ pushed
    grown = pushed | (carried & steps)  # larger than in the row before
    return after, ~(after | grown)


def _sum(
    x: UInt32[Array, 'words rows'], y: UInt32[Array, 'words rows']
) -> UInt32[Array, 'words rows']:
    """X + y as one number a column, least significant word first; the last carry is dropped."""
    total = x + y
    count = x.shape[0]
    if count == 1:
        return total
    # Which words receive a carry is itself one addition, of a bit a word: a word that overflows
    # puts 1 at the next, and a word that is all ones hands on what it receives.
    group = min(count, _BITS)
    overflows = jnp.roll(total < x, 1, axis=0).at[0].set(False)
    passes = total == _ONES
    overflows, passes = (
        _packed(bits.reshape(-1, group, bits.shape[1])) for bits in (overflows, passes)
    )
    carries = _sum(overflows, passes) ^ passes
    bits = (carries[:, None] >> jnp.arange(group, dtype=jnp.uint32)[:, None]) & 1
    return total + bits.reshape(total.shape)


def _packed(bits: Bool[Array, 'words bits rows']) -> UInt32[Array, 'words rows']:
    weights = jnp.uint32(1) << jnp.arange(bits.shape[1], dtype=jnp.uint32)
    return jnp.where(bits, weights[:, None], 0).sum(axis=1, dtype=jnp.uint32)


def _reversed(x: UInt32[Array, 'words rows']) -> UInt32[Array, 'words rows']:
    """All bits of a column in reverse order."""
    for distance, mask in _SWAPS:
        x = ((x >> distance) & mask) | ((x & mask) << distance)
    return x[::-1]


_SWAPS = tuple(
    (np.uint32(distance), np.uint32(mask))
    for distance, mask in (
        (1, 0x55555555),
        (2, 0x33333333),
        (4, 0x0F0F0F0F),
        (8, 0x00FF00FF),
        (16, 0x0000FFFF),
    )
)


def _shifted_up(x: UInt32[Array, 'words rows']) -> UInt32[Array, 'words rows']:
    """Every bit one place higher."""
    return (x << 1) | jnp.roll(x >> 31, 1, axis=0).at[0].set(0)


def _shifted_down(x: UInt32[Array, 'words rows']) -> UInt32[Array, 'words rows']:
    """Every bit one place lower."""
    return (x >> 1) | jnp.roll(x << 31, -1, axis=0).at[-1].set(0)
