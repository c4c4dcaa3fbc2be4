import itertools

import pytest

from emola_jax.facs import AU_LISTS, AU_NAMES, EMOTIONS
from emola_jax.metrics import action_units, emotions
from emola_jax.metrics.rouge import has_sentence
from input_pipeline.datasets import wording


@pytest.mark.parametrize('emotion', range(len(EMOTIONS)))
def test_both_scorings_read_an_emotion_back(emotion):
    text = wording.emotion_answer(emotion)
    assert emotions.strict_emotion(text) == emotion
    assert emotions.reference_emotion(text) == emotion
    assert has_sentence(text)


@pytest.mark.parametrize('dataset', AU_LISTS)
def test_both_scorings_read_action_units_back(dataset):
    aus = AU_LISTS[dataset]
    for chosen in [*itertools.combinations(aus, 2), aus, aus[:1], ()]:
        text = wording.au_answer(chosen)
        assert action_units.strict_aus(text) == set(chosen)
        assert action_units.reference_aus(text) == set(chosen)
        assert not action_units.is_unparsed(text)
        assert has_sentence(text)


def test_codes_carry_their_own_names():
    text = wording.au_answer(tuple(AU_NAMES))
    assert action_units.code_name_agreement(text, tuple(AU_NAMES)) == (30, 30)
