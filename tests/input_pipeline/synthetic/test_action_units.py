import pytest

from emola_jax.facs import AU_NAMES
from input_pipeline.synthetic.action_units import (
    APPEARANCE,
    CONFLICTS,
    PROTOTYPES,
    SUPPORTED_AUS,
    conflicting,
    face_unit_weights,
    present_aus,
    wrinkle_weights,
)
from input_pipeline.synthetic.wrinkles import WRINKLES


def test_presence_is_decided_by_the_stronger_side():
    aus = {12: (0.25, 0.0), 6: (0.0, 0.24), 1: (0.1, 0.9)}
    assert present_aus(aus) == (1, 12)


def test_every_action_unit_has_a_name_and_known_wrinkles():
    assert set(SUPPORTED_AUS) == set(APPEARANCE) <= set(AU_NAMES)
    used = {name for look in APPEARANCE.values() for name in look.wrinkles}
    assert used == set(WRINKLES)


def test_every_face_unit_exists(rig):
    for au in SUPPORTED_AUS:
        whole, halves = face_unit_weights({au: (1.0, 0.5)})
        assert whole or halves
        assert all(rig.has_target(f'fu/{name}') for name in {**whole, **halves})


def test_the_sides_are_driven_apart():
    whole, _ = face_unit_weights({12: (1.0, 0.0)})
    assert whole['mouthSmileLeft'] > 0
    assert whole['mouthSmileRight'] == 0
    left, right = wrinkle_weights({6: (0.0, 0.8)})['crow_feet']
    assert left == 0 < 0.5 < right


def test_an_open_jaw_does_not_press_the_lips():
    closed, _ = face_unit_weights({24: (1.0, 1.0)})
    opened, _ = face_unit_weights({24: (1.0, 1.0), 26: (1.0, 1.0)})
    assert opened['mouthPressLeft'] < 0.5 * closed['mouthPressLeft']


def test_unknown_action_units_are_refused():
    with pytest.raises(KeyError):
        face_unit_weights({99: (1.0, 1.0)})


def test_prototypes_do_not_contradict_themselves():
    for prototype in PROTOTYPES.values():
        core = dict.fromkeys(prototype.core)
        assert not any(frozenset((a, b)) in CONFLICTS for a in core for b in core)
        assert not set(prototype.extras) & set(core)
        # An extra that can never be drawn would be a mistake in the table.
        assert all(not conflicting(extra, core) for extra in prototype.extras)
