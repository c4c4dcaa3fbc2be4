import numpy as np
import pytest
from rouge import Rouge

from emola_jax.metrics.rouge import has_sentence, rouge_l
from tests.metrics.golden import RECORDED

WORDS = ['the', 'The', 'brow', 'brows', 'is', 'raised', 'lip,', 'AU4', '-', 'a\nb', 'é', '顔']


def package(prediction, reference):
    return Rouge().get_scores(prediction, reference, avg=True)['rouge-l']['f']


@pytest.mark.parametrize('case', RECORDED['rouge'], ids=lambda case: repr(case['pred'][:20]))
def test_recorded_scores(case):
    recorded = case['rouge_l_f']
    assert rouge_l(case['pred'], case['ref']) == pytest.approx(
        recorded.get('value', 0.0), abs=1e-12
    )
    scorable = has_sentence(case['pred']) and has_sentence(case['ref'])
    assert scorable == ('value' in recorded)


def paragraph(rng):
    sentences = []
    for _ in range(rng.integers(0, 6)):
        words = rng.choice(WORDS, rng.integers(0, 12))
        sentences.append(str(rng.choice([' ', '  '])).join(words))
    return str(rng.choice(['.', '. ', '.. ', ' . '])).join(sentences) + str(rng.choice(['', '.']))


def test_equals_the_package_on_random_paragraphs():
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(400):
        prediction, reference = paragraph(rng), paragraph(rng)
        try:
            expected = package(prediction, reference)
        except ValueError:
            assert not (has_sentence(prediction) and has_sentence(reference))
            assert rouge_l(prediction, reference) == 0.0
            continue
        assert has_sentence(prediction) and has_sentence(reference)
        assert rouge_l(prediction, reference) == pytest.approx(expected, abs=1e-9)
        compared += expected > 0
    assert compared > 200


def test_a_long_sentence_is_scored():
    # The package recurses once a word and fails here.
    text = ' '.join(f'w{i}' for i in range(1500))
    assert rouge_l(text, text) == pytest.approx(1.0, abs=1e-7)
