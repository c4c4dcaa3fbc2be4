"""Pictures and landmarks against each other: what a label says must be visible where it belongs."""

import numpy as np
import pytest

from input_pipeline.landmarks import GROUPS
from input_pipeline.synthetic.identity import sample_identity
from input_pipeline.synthetic.sample import FaceSpec, sample_face

PERSON = 12


def brightness(renderer, aus, **pose) -> np.ndarray:
    image = renderer.render(FaceSpec(PERSON, aus=aus, **pose)).image
    return image.astype(float).mean(-1)


def points(renderer, spec) -> np.ndarray:
    """Landmarks in pixels, float[106, 2]."""
    return (renderer.render(spec).landmarks.reshape(-1, 2) + 1) / 2 * renderer.size


def test_the_same_face_gives_the_same_bytes(renderer):
    spec = sample_face(1, 2)
    first, second = renderer.render(spec), renderer.render(spec)
    assert first.image.shape == (96, 96, 3)
    assert first.image.dtype == np.uint8
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)
    assert (renderer.render(sample_face(2, 2)).image != first.image).any()


def test_the_face_fills_the_picture(renderer):
    for seed in range(6):
        marks = points(renderer, sample_face(seed, seed))
        width, height = np.ptp(marks, axis=0)
        assert marks.min() > -3
        assert marks.max() < 96 + 6
        assert 0.5 < width / 96 < 0.95
        assert 0.65 < height / 96 < 1.0


def test_pupils_are_where_the_landmarks_say(renderer):
    """The darkest spot around each pupil's landmark is the pupil itself."""
    spec = FaceSpec(PERSON)
    marks = points(renderer, spec)
    light = brightness(renderer, {})
    for index in (GROUPS['right_eye'].stop - 2, GROUPS['left_eye'].stop - 2):
        x, y = marks[index]
        around = light[int(y) - 1 : int(y) + 2, int(x) - 4 : int(x) + 5]
        column = around.mean(0).argmin() - 4
        assert abs(column) <= 1


def test_lips_are_redder_than_the_skin_beside_them(renderer):
    marks = points(renderer, FaceSpec(PERSON))
    image = renderer.render(FaceSpec(PERSON)).image.astype(float)
    redness = image[..., 0] / (image[..., 1] + 1)
    lower_lip = marks[[61, 70]].mean(0)
    chin = marks[61] + [0, 6]
    at = [redness[int(y), int(x)] for x, y in (lower_lip, chin)]
    assert at[0] > at[1]


@pytest.mark.parametrize('au', [6, 9, 12, 14, 15])
def test_one_sided_action_units_show_on_their_side(renderer, au):
    calm = brightness(renderer, {})
    left = np.abs(brightness(renderer, {au: (1.0, 0.0)}) - calm)
    # The subject's left is the right half of the picture.
    assert left[:, 54:].sum() > 2.5 * left[:, :42].sum()


@pytest.mark.parametrize('au', [6, 14, 17, 23, 24])
def test_appearance_shows_where_landmarks_hardly_move(renderer, au):
    """These show in the skin: the pixels change a lot more than a detector could tell."""
    calm, shown = FaceSpec(PERSON), FaceSpec(PERSON, aus={au: (0.8, 0.8)})
    moved = np.linalg.norm(points(renderer, shown) - points(renderer, calm), axis=1)
    changed = np.abs(brightness(renderer, shown.aus) - brightness(renderer, {}))
    assert moved.mean() < 0.8
    assert np.sort(changed.ravel())[-60:].mean() > 20


def test_lip_corners_obey_smile_and_frown(renderer):
    calm, smile, frown = (
        points(renderer, FaceSpec(PERSON, aus=aus))[[52, 58], 1].mean()
        for aus in ({}, {12: (1.0, 1.0)}, {15: (1.0, 1.0)})
    )
    assert smile < calm - 1
    assert frown > calm + 1


def test_an_open_mouth_does_not_shrink_the_face(renderer):
    calm = points(renderer, FaceSpec(PERSON))
    gaping = points(renderer, FaceSpec(PERSON, aus={26: (1.0, 1.0), 25: (1.0, 1.0)}))
    np.testing.assert_allclose(gaping[GROUPS['nose']], calm[GROUPS['nose']], atol=1.0)
    assert gaping[0, 1] > calm[0, 1] + 3


def test_turning_the_head_right_moves_the_nose_right(renderer):
    for yaw, sign in ((20, 1), (-20, -1)):
        marks = points(renderer, FaceSpec(PERSON, yaw=yaw))
        middle = marks[GROUPS['contour']][[1, 17], 0].mean()
        assert sign * (marks[86, 0] - middle) > 3


def test_people_differ_and_keep_their_looks(rig):
    assert sample_identity(rig, 5) == sample_identity(rig, 5)
    people = [sample_identity(rig, seed) for seed in range(40)]
    assert len({person.skin for person in people}) == 40
    assert np.ptp([person.tone for person in people]) > 0.5
    assert np.ptp([person.age for person in people]) > 0.5
    assert all(rig.has_target(name) for person in people for name in person.shape)
