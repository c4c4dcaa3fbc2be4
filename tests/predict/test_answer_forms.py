"""The constrained answers are what the data sets' own answers begin with."""

import numpy as np
import pytest

from configs import emola, mini
from emola_jax.config.run import RunConfig
from emola_jax.facs import AU_LISTS, AU_NAMES, EMOTIONS
from emola_jax.predict import answer_forms, cautions
from input_pipeline.datasets import registry, wording
from input_pipeline.synthetic.describe import describe


def settings(file, argument=None):
    return RunConfig.from_config_dict(file.get_config(*filter(None, [argument])))


def test_a_stated_list_is_what_the_data_sets_of_labels_hold():
    aus = (1, 4, 12)
    text = wording.au_answer(aus)
    assert text.startswith(answer_forms.list_text(answer_forms.STATED.aus, aus))
    assert wording.au_answer(()).startswith(answer_forms.STATED.aus.rest)
    for label, word in enumerate(answer_forms.STATED.emotion_words):
        assert wording.emotion_answer(label) == f'{answer_forms.STATED.emotion_opening}{word}.'


@pytest.mark.parametrize('seed', range(6))
def test_rendered_answers_begin_as_their_form_says(seed):
    rng = np.random.default_rng(seed)
    form = answer_forms.of_config(settings(mini)).aus
    _, listed = describe('au', 0, {4: (0.9, 0.9), 12: (0.5, 0.5)}, rng, 'short')
    _, at_rest = describe('au', 0, {}, rng, 'short')
    if form.behind:  # numbered
        assert listed.startswith(f'{form.opening}4{form.behind[:3]}')
    else:
        lead = listed.split('\n')[0]
        assert lead.split(' ', 1)[1] == answer_forms.list_text(form, (4, 12)).split(' ', 1)[1] + '.'
    assert at_rest.startswith(form.rest)
    assert not listed.startswith(form.rest)


def test_every_rendered_emotion_word_follows_some_opening():
    for label, name in enumerate(EMOTIONS):
        texts = [
            describe('emotion', label, {}, np.random.default_rng(seed), 'short')[1]
            for seed in range(8)
        ]
        word = answer_forms.RENDERED.emotion_words[label]
        assert word.split()[-1] == name
        assert all(word in text for text in texts)


def test_the_config_decides():
    rendered = answer_forms.of_config(settings(mini))
    assert rendered.questions == answer_forms.RENDERED.questions
    assert answer_forms.known_aus(settings(mini))[:3] == (1, 2, 4)
    assert answer_forms.of_config(settings(emola)) is answer_forms.DESCRIBED
    assert answer_forms.known_aus(settings(emola, 'task=au,dataset=disfa,fold=1')) == (
        1, 2, 4, 6, 9, 12, 25, 26,
    )  # fmt: skip
    assert (
        answer_forms.of_config(settings(emola, 'task=au,dataset=disfa,fold=1'))
        is answer_forms.STATED
    )


@pytest.mark.parametrize('name', list(registry.BUILDERS))
def test_what_a_data_set_labels_is_known_and_not_what_is_scored_alone(name):
    data_set = registry.find(name).DATA_SET
    config = settings(emola, f'dataset={name}')
    if data_set.au_list:
        assert answer_forms.known_aus(config) == tuple(sorted(AU_LISTS[data_set.au_list]))
        # A fixed list holds even where one of its units never came up.
        assert answer_forms.known_aus(config, (4,)) == answer_forms.known_aus(config)
    else:
        assert answer_forms.known_aus(config) == tuple(AU_NAMES)
        assert answer_forms.known_aus(config, (12, 4)) == (4, 12)


def test_units_that_faba_labels_and_does_not_score_are_no_surprise():
    known = answer_forms.known_aus(settings(emola, 'au'))
    assert {7, 9} <= set(known)
    likely = dict.fromkeys(known, 0.9)
    notes = ' '.join(
        cautions.of_aus(likely, 'AU7 - Lid Tightener and AU9 - Nose Wrinkler are seen.')
    )
    assert 'never labelled' not in notes
    notes = ' '.join(cautions.of_aus(likely, 'AU7 and AU18 are seen.'))
    assert notes.endswith('never labelled in training: AU18')
