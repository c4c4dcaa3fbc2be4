import random
import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

from emola_jax.metrics import rouge, rouge_batch

# Few words, so that they repeat; some blanks and dots where the package's splitting is odd.
WORDS = ['the', 'The', 'brow', 'is', 'raised', 'lip,', 'AU4', '-', 'é', 'é', '顔', '😀', 'a\nb']
JOINTS = ['.', '. ', '.. ', ' . ', '.\n']
SENTENCES = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=10).map(' '.join)
SHORT = st.builds(str.join, st.sampled_from(JOINTS), st.lists(SENTENCES, max_size=5))


def long_paragraph(seed):
    """Up to 12 sentences of up to 20 words."""
    rng = random.Random(seed)
    words = WORDS[: rng.randint(2, len(WORDS))]
    sentences = [rng.choices(words, k=rng.randint(0, 20)) for _ in range(rng.randint(1, 12))]
    return rng.choice(JOINTS).join(map(' '.join, sentences))


PARAGRAPHS = SHORT | st.integers().map(long_paragraph)


def pairs_of_paragraphs(count):
    pairs = []

    @settings(max_examples=count, deadline=None, derandomize=True, database=None)
    @given(PARAGRAPHS, PARAGRAPHS)
    def collect(prediction, reference):
        pairs.append((prediction, reference))

    collect()
    return pairs


def package(prediction, reference):
    if not (rouge.has_sentence(prediction) and rouge.has_sentence(reference)):
        with pytest.raises(ValueError):
            Rouge(metrics=['rouge-l']).get_scores(prediction, reference)
        return 0.0
    return Rouge(metrics=['rouge-l']).get_scores(prediction, reference)[0]['rouge-l']['f']


def test_equals_the_package_on_2000_pairs_of_paragraphs():
    pairs = pairs_of_paragraphs(2000)
    assert len(pairs) >= 2000
    scores = rouge_batch.rouge_l(pairs)
    assert scores == pytest.approx([package(*pair) for pair in pairs], abs=1e-9)
    assert scores[:300] == [rouge.rouge_l(*pair) for pair in pairs[:300]]
    assert sum(0 < score < 0.999 for score in scores) > 1000


def test_equals_rouge_score():
    pairs = pairs_of_paragraphs(500)
    scorer = RougeScorer(['rougeL'])
    expected = [scorer.score(target, prediction)['rougeL'].fmeasure for prediction, target in pairs]
    scores = rouge_batch.rouge_score_l(pairs)
    assert scores == pytest.approx(expected, abs=1e-12)
    assert scores[:100] == [rouge.rouge_score_l(*pair) for pair in pairs[:100]]
    assert sum(0 < score < 0.999 for score in scores) > 150


def f1(hits, predicted, expected):
    """The package's F1, written down once more."""
    p, r = hits / predicted, hits / expected
    return 2 * p * r / (p + r + 1e-8)


def distinct(start, stop):
    return [f'w{i}' for i in range(start, stop)]


# (prediction, reference, distinct words of the only or of every longest common subsequence)
LONG = {
    'equal': (distinct(0, 1500), distinct(0, 1500), 1500),
    'every second word': (distinct(0, 1500)[::2], distinct(0, 1500), 750),
    'turned round': (distinct(0, 1500)[::-1], distinct(0, 1500), 1),
    'cut and swapped': (distinct(1000, 1500) + distinct(0, 1000), distinct(0, 1500), 1000),
    'one word again and again': (['w'] * 1500, ['w'] * 1400, 1),
    'nothing in common': (distinct(0, 1500), distinct(1500, 3000), 0),
    'interleaved with others': (
        [word for i in range(750) for word in (f'w{i}', f'x{i}')],
        [word for i in range(750) for word in (f'w{i}', f'y{i}')],
        750,
    ),
}


@pytest.mark.parametrize('name', LONG)
def test_sentences_too_long_for_the_package(name):
    prediction, reference, hits = LONG[name]
    pair = (' '.join(prediction), ' '.join(reference))
    expected = f1(hits, len(set(prediction)), len(set(reference)))
    assert rouge_batch.rouge_l([pair]) == pytest.approx([expected], abs=1e-9)


def test_the_package_does_overflow_there():
    text = ' '.join(distinct(0, 1000))
    with pytest.raises(RecursionError):
        package(text, text)


def test_sums_of_long_numbers_carry():
    rng = np.random.default_rng(0)
    for words in (1, 2, 8, 32, 64, 128):
        x, y = rng.integers(0, 1 << 32, (2, words, 50), np.uint32)
        # Runs of ones pass a carry on over many words.
        x[rng.random(x.shape) < 0.7] = 0xFFFFFFFF
        y[rng.random(y.shape) < 0.7] = 0
        total = np.asarray(jax.jit(rouge_batch._sum)(x, y))

        def number(column):
            return sum(int(word) << (32 * i) for i, word in enumerate(column))

        for i in range(x.shape[1]):
            expected = (number(x[:, i]) + number(y[:, i])) % (1 << (32 * words))
            assert number(total[:, i]) == expected


def test_the_order_of_pairs_and_their_company_change_nothing():
    rng = np.random.default_rng(0)
    texts = [
        '. '.join(' '.join(rng.choice(list('abcde'), n)) for n in rng.integers(1, 30, k))
        for k in rng.integers(1, 15, 60)
    ]
    pairs = list(zip(texts[:30], texts[30:], strict=True))
    together = rouge_batch.rouge_l(pairs)
    assert rouge_batch.rouge_l(pairs[::-1]) == together[::-1]
    assert [rouge_batch.rouge_l([pair])[0] for pair in pairs] == together
    assert rouge_batch.rouge_l([]) == []


def test_few_programs_are_compiled():
    rouge_batch._union_hits.clear_cache()
    rng = np.random.default_rng(1)
    pairs = [(' '.join(['a'] * n), ' '.join(['a'] * n)) for n in rng.integers(1, 60, 200)]
    rouge_batch.rouge_l(pairs)
    assert rouge_batch._union_hits._cache_size() == 1


def test_google_tokens_are_lower_case_ascii():
    assert rouge.tokens('AU4—Brow-Lowerer: naïve É 12.5') == [
        'au4', 'brow', 'lowerer', 'na', 've', '12', '5'
    ]  # fmt: skip
    assert not re.search('[^a-z0-9]', ''.join(rouge.tokens('ÀÉ顔_x')))
