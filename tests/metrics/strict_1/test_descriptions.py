"""The first strict reader reads what it always read."""

import pytest

from emola_jax.metrics import action_units, emotions, readers
from tests.metrics.descriptions import AUS, EMOTIONS, STRICT_1


@pytest.mark.parametrize(('text', 'aus'), AUS)
def test_action_units(text, aus):
    parsed = action_units.parse(text, readers.FIRST)
    found = parsed if parsed is None else action_units.parse_label(parsed)
    assert found == STRICT_1.get(text, aus)


@pytest.mark.parametrize(('text', 'emotion'), EMOTIONS)
def test_emotions(text, emotion):
    assert emotions.parse(text, readers.FIRST) == STRICT_1.get(text, emotion)
