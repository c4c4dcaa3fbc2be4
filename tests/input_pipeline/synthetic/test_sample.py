from collections import Counter

import pytest

from emola_jax.facs import EMOTIONS
from input_pipeline.synthetic.action_units import PROTOTYPES, SUPPORTED_AUS, conflicting
from input_pipeline.synthetic.sample import WEAKEST, FaceSpec, sample_face


@pytest.fixture(scope='module')
def faces() -> list[FaceSpec]:
    return [sample_face(i, i // 2, emotion=i % 7) for i in range(1400)]


def test_the_same_seed_draws_the_same_face():
    assert sample_face(3, 5) == sample_face(3, 5)
    assert sample_face(3, 5) != sample_face(4, 5)


def test_every_action_unit_occurs_often_enough(faces):
    count = Counter(au for face in faces for au in face.present)
    assert min(count[au] for au in SUPPORTED_AUS) > 0.08 * len(faces)
    assert max(count.values()) < 0.6 * len(faces)


def test_labels_are_never_in_doubt(faces):
    for face in faces:
        assert set(face.present) == set(face.aus)
        assert all(WEAKEST <= max(sides) <= 1 for sides in face.aus.values())
        for au in face.aus:
            others = {other: None for other in face.aus if other != au}
            # Jaw drop parts the lips, so it may join what the lips alone could not show.
            assert not conflicting(au, others)


def test_the_core_of_an_emotion_is_always_shown(faces):
    for face in faces:
        assert set(PROTOTYPES[EMOTIONS[face.emotion]].core) <= set(face.present)
    neutral = [face for face in faces if EMOTIONS[face.emotion] == 'neutral']
    assert max(len(face.present) for face in neutral) <= 2


def test_a_quarter_of_the_faces_is_lopsided(faces):
    shown = [face for face in faces if face.aus]
    lopsided = sum(any(left != right for left, right in face.aus.values()) for face in shown)
    assert 0.17 < lopsided / len(shown) < 0.32


def test_action_units_outside_the_list_are_left_out():
    faces = [sample_face(i, i, au_list=(1, 12)) for i in range(50)]
    assert {au for face in faces for au in face.aus} == {1, 12}
