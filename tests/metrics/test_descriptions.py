"""What the strict scoring reads in sentences as language models write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.metrics import action_units, emotions
from tests.metrics.descriptions import AUS, EMOTIONS


@pytest.mark.parametrize(('text', 'aus'), AUS)
def test_action_units(text, aus):
    parsed = action_units.parse(text)
    assert (parsed if parsed is None else action_units.parse_label(parsed)) == aus


@pytest.mark.parametrize(('text', 'emotion'), EMOTIONS)
def test_emotions(text, emotion):
    assert emotions.parse(text) == emotion


@st.composite
def reflowed(draw):
    """A description, and the same with other white space wherever it has some."""
    text, _ = draw(st.sampled_from(AUS + EMOTIONS))
    blanks = st.text(' \t\n\r\u00a0\u2003', min_size=1, max_size=3)
    other = draw(blanks) + ''.join(word + draw(blanks) for word in text.split())
    return text, other


@settings(max_examples=300, deadline=None)
@given(reflowed())
def test_white_space_is_all_alike(texts):
    text, other = texts
    assert action_units.parse(text) == action_units.parse(other)
    assert emotions.parse(text) == emotions.parse(other)
    assert action_units.code_name_agreement(text, (4, 7)) == action_units.code_name_agreement(
        other, (4, 7)
    )
