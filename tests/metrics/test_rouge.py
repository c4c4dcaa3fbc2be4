import pytest

from emola_jax.metrics.rouge import has_sentence, rouge_l
from tests.metrics.golden import RECORDED


@pytest.mark.parametrize('case', RECORDED['rouge'], ids=lambda case: repr(case['pred'][:20]))
def test_recorded_scores(case):
    recorded = case['rouge_l_f']
    assert rouge_l(case['pred'], case['ref']) == pytest.approx(
        recorded.get('value', 0.0), abs=1e-12
    )
    scorable = has_sentence(case['pred']) and has_sentence(case['ref'])
    assert scorable == ('value' in recorded)
