"""What the strict scoring reads in sentences as language models write them."""

import textwrap

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
    """A description, and the same with other blanks within its lines."""
    text, _ = draw(st.sampled_from(AUS + EMOTIONS))
    blanks = st.text(' \t\u00a0\u2003', min_size=1, max_size=3)
    lines = [
        draw(blanks) + ''.join(word + draw(blanks) for word in line.split())
        for line in text.split('\n')
    ]
    return text, '\n'.join(lines)


@settings(max_examples=300, deadline=None)
@given(reflowed())
def test_blanks_are_all_alike(texts):
    text, other = texts
    assert action_units.parse(text) == action_units.parse(other)
    assert emotions.parse(text) == emotions.parse(other)
    assert action_units.code_name_agreement(text, (4, 7)) == action_units.code_name_agreement(
        other, (4, 7)
    )


@pytest.mark.parametrize('text', [text for text, _ in AUS + EMOTIONS if '\n' not in text])
@pytest.mark.parametrize('width', [48, 72])
def test_prose_reads_the_same_when_it_is_wrapped(text, width):
    wrapped = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    assert action_units.parse(text) == action_units.parse(wrapped)
    assert emotions.parse(text) == emotions.parse(wrapped)
