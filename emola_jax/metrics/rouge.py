"""ROUGE-L as FABA-Bench reports it: the summary-level F1 of the `rouge` 1.0.1 package.

It is not Google's `rouge-score`: sentences end at '.', case matters, and hits are counted as a set
of words. Published S_ge numbers of EmoLA compare only under this one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


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
    predicted, expected = _sentences(prediction), _sentences(reference)
    if not predicted or not expected:
        return 0.0
    ids: dict[str, int] = {}
    predicted_ids = [_word_ids(sentence, ids) for sentence in predicted]
    expected_ids = [_word_ids(sentence, ids) for sentence in expected]
    hits: set[int] = set()
    for sentence in expected_ids:
        for other in predicted_ids:
            hits |= _common_words(sentence, other)
    recall = len(hits) / len(np.unique(np.concatenate(expected_ids)))
    precision = len(hits) / len(np.unique(np.concatenate(predicted_ids)))
    return 2.0 * precision * recall / (precision + recall + 1e-8)


def has_sentence(text: str) -> bool:
    """Whether the package scores `text` at all: it raises for '' and for dots alone."""
    return bool(_sentences(text))


def _sentences(text: str) -> list[list[str]]:
    """Words of each sentence; a sentence of blanks alone is the one word ''."""
    return [part.split() or [''] for part in text.split('.') if part]


def _word_ids(words: list[str], ids: dict[str, int]) -> Int[np.ndarray, 'words']:
    return np.array([ids.setdefault(word, len(ids)) for word in words], np.int32)


def _common_words(x: Int[np.ndarray, 'n'], y: Int[np.ndarray, 'm']) -> set[int]:
    """Distinct words of the longest common subsequence, found from the end as the package does."""
    equal = x[:, None] == y[None, :]
    lengths = np.zeros((len(x) + 1, len(y) + 1), np.int32)
    for i, row in enumerate(equal):
        taken = np.maximum(lengths[i, 1:], lengths[i, :-1] + row)
        lengths[i + 1, 1:] = np.maximum.accumulate(taken)
    words: set[int] = set()
    i, j = len(x), len(y)
    # Subsequences of the same length differ in their words: the order of the moves matters.
    while i and j:
        if equal[i - 1, j - 1]:
            words.add(int(x[i - 1]))
            i, j = i - 1, j - 1
        elif lengths[i - 1, j] > lengths[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return words
