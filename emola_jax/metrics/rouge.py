"""ROUGE-L as FABA-Bench reports it: the summary-level F1 of the `rouge` 1.0.1 package.

It is not Google's `rouge-score`: sentences end at '.', case matters, and hits are counted as a set
of words. Published S_ge numbers of EmoLA compare only under this one; `rouge_score_l` is Google's,
for a second column. These functions define both scores; `rouge_batch` computes them for many pairs.
"""

from __future__ import annotations

import re
from itertools import compress

import numpy as np
from jaxtyping import Int

from emola_jax.metrics import lcs


def rouge_l(prediction: str, reference: str) -> float:
    """ROUGE-L F1 of two texts, in [0, 1).

    For each sentence of the reference, the words of its longest common subsequence with each
    sentence of the prediction are pooled; precision and recall count distinct words. The package
    adds 1e-8 to the denominator, so equal texts score just below 1.

    Args:
      prediction: the text to judge.
      reference: the text it should be.

    Returns:
      The score; 0 where a text has no sentence, for which the package raises (see `has_sentence`).
    """
    predicted, expected = sentences(prediction), sentences(reference)
    if not predicted or not expected:
        return 0.0
    ids: dict[str, int] = {}
    predicted_ids = [_word_ids(sentence, ids) for sentence in predicted]
    expected_ids = [_word_ids(sentence, ids) for sentence in expected]
    hits: set[int] = set()
    if sum(map(len, predicted_ids)) * sum(map(len, expected_ids)) > _LARGEST_TABLE:
        row = _row(expected_ids)
        hits |= set(compress(row, lcs.union_hits(_row(predicted_ids), row)))
    else:
        for sentence in expected_ids:
            for other in predicted_ids:
                hits |= _common_words(sentence, other)
    return f1(
        len(hits),
        len(np.unique(np.concatenate(predicted_ids))),
        len(np.unique(np.concatenate(expected_ids))),
    )


def f1(hits: int, predicted: int, expected: int) -> float:
    """The package's F1 of numbers of distinct words: in both texts, in each of them."""
    precision, recall = hits / predicted, hits / expected
    return 2.0 * precision * recall / (precision + recall + 1e-8)


def has_sentence(text: str) -> bool:
    """Whether the package scores `text` at all: it raises for '' and for dots alone."""
    return bool(text.strip('.'))


def sentences(text: str) -> list[list[str]]:
    """Words of each sentence; a sentence of blanks alone is the one word ''."""
    return [part.split() or [''] for part in text.split('.') if part]


def rouge_score_l(prediction: str, reference: str) -> float:
    """ROUGE-L F1 of Google's `rouge-score` 0.1.2 without stemming, in [0, 1].

    Words are runs of a-z and 0-9 of the text in lower case; the whole text is one sequence. A text
    without a word scores 0.
    """
    predicted, expected = tokens(prediction), tokens(reference)
    ids: dict[str, int] = {}
    x, y = _word_ids(predicted, ids), _word_ids(expected, ids)
    is_long = len(x) * len(y) > _LARGEST_TABLE
    length = lcs.length(x.tolist(), y.tolist()) if is_long else int(_lcs_lengths(x, y)[-1, -1])
    return lcs_f1(length, len(predicted), len(expected))


def tokens(text: str) -> list[str]:
    """Words as `rouge-score` finds them, unstemmed."""
    return _TOKEN.findall(text.lower())


def lcs_f1(length: int, predicted: int, expected: int) -> float:
    """F1 of the length of a common subsequence of two texts with so many words."""
    return 2.0 * length / (predicted + expected) if length else 0.0


_TOKEN = re.compile('[a-z0-9]+')
_LARGEST_TABLE = 1 << 24
"""Cells, of four bytes; pairs of longer texts go without one."""


def _row(sentences: list[Int[np.ndarray, '_']]) -> list[int]:
    """Sentences as `lcs` takes them."""
    return [word for sentence in sentences for word in (lcs.SEPARATOR, *sentence.tolist())]


def _word_ids(words: list[str], ids: dict[str, int]) -> Int[np.ndarray, 'words']:
    return np.array([ids.setdefault(word, len(ids)) for word in words], np.int32)


def _common_words(x: Int[np.ndarray, 'n'], y: Int[np.ndarray, 'm']) -> set[int]:
    """Distinct words of the longest common subsequence, found from the end as the package does."""
    lengths = _lcs_lengths(x, y)
    words: set[int] = set()
    i, j = len(x), len(y)
    # Subsequences of the same length differ in their words: the order of the moves matters.
    while i and j:
        if x[i - 1] == y[j - 1]:
            words.add(int(x[i - 1]))
            i, j = i - 1, j - 1
        elif lengths[i - 1, j] > lengths[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return words


def _lcs_lengths(
    x: Int[np.ndarray, 'n'], y: Int[np.ndarray, 'm']
) -> Int[np.ndarray, 'n_plus_1 m_plus_1']:
    """Lengths of the longest common subsequence of each start of x with each start of y."""
    lengths = np.zeros((len(x) + 1, len(y) + 1), np.int32)
    for i, row in enumerate(x[:, None] == y[None, :]):
        taken = np.maximum(lengths[i, 1:], lengths[i, :-1] + row)
        lengths[i + 1, 1:] = np.maximum.accumulate(taken)
    return lengths
