import dataclasses

import cv2
import numpy as np
import pytest

from emola_jax.experts import squares
from input_pipeline.landmarks import FLIP_INDEX
from tests.experts import faces

NOSE_TIP = 75
RIGHT_OUTER, LEFT_OUTER = 34, 88
# Read off the enlarged photo by eye: the nose ends at y = 132, its tip is above that.
ASTRONAUT_NOSE = (223, 127)


def noses(found):
    return [tuple(np.round(face.points[NOSE_TIP])) for face in found]


def assert_near(point, expected, limit=6):
    assert np.linalg.norm(np.subtract(point, expected)) < limit, (point, expected)


def test_astronaut(finder):
    photo = faces.astronaut()
    ((face,),) = finder.find([photo])
    assert_near(face.points[NOSE_TIP], ASTRONAUT_NOSE)
    assert 0.5 < face.score <= 1
    x0, y0, x1, y1 = face.box
    assert 160 < x0 < x1 < 290 and 60 < y0 < y1 < 200
    assert (x0, y0) == tuple(face.points.min(0)) and (x1, y1) == tuple(face.points.max(0))
    left, top, side = face.square
    np.testing.assert_array_equal(face.crop, photo[top : top + side, left : left + side])
    back = (face.landmarks.reshape(106, 2) + 1) / 2 * side + [left, top]
    np.testing.assert_allclose(back, face.points, atol=1e-3)
    assert np.abs(face.landmarks).max() < 1.05


def test_many_photos_of_many_sizes_are_what_each_is_alone(finder):
    photo = faces.astronaut()
    two = np.concatenate([photo, photo[:, ::-1]], axis=1)
    wide = cv2.resize(two, (12000, 6000))[:2700]
    blank = np.full((300, 200, 3), 90, np.uint8)
    photos = [two, blank, np.zeros((1, 1, 3), np.uint8), wide, photo[:, :, :1].repeat(3, 2)]
    found = finder.find(photos)
    assert [len(one) for one in found] == [2, 0, 0, 2, 1]
    for nose, expected in zip(sorted(noses(found[0])), [(223, 127), (801, 127)], strict=True):
        assert_near(nose, expected)
    scale = 12000 / 1024
    for nose, expected in zip(sorted(noses(found[3])), [(223, 127), (801, 127)], strict=True):
        assert_near(np.divide(nose, scale), expected)
    assert found[3][0].crop.shape == (512, 512, 3)
    for one, photo in zip(found, photos, strict=True):
        (alone,) = finder.find([photo])
        for face, same in zip(one, alone, strict=True):
            np.testing.assert_allclose(face.points, same.points, atol=0.05)
    assert finder.find([]) == []


@pytest.mark.parametrize('angle', [-40, 25])
def test_a_turned_face_is_found_and_its_points_turn_with_it(finder, angle):
    photo = faces.astronaut()
    matrix = cv2.getRotationMatrix2D((226.0, 131.0), angle, 1.0)
    ((upright,),) = finder.find([photo])
    ((turned,),) = finder.find([cv2.warpAffine(photo, matrix, (512, 512))])
    expected = upright.points @ matrix[:, :2].T + matrix[:, 2]
    unit = np.linalg.norm(upright.points[RIGHT_OUTER] - upright.points[LEFT_OUTER])
    assert np.linalg.norm(turned.points - expected, axis=1).mean() < 0.06 * unit


def test_mirrored_photos_give_mirrored_points(finder):
    """Half a mesh pixel left out would shift each by 0.6 pixels here, and so the pair by 1.2."""
    images = [cv2.resize(one, (192, 192)) for one in faces.rendered()[0][:24]]
    plain = finder.find(images)
    mirrored = finder.find([np.ascontiguousarray(image[:, ::-1]) for image in images])
    shifts = []
    for (one,), (other,) in zip(plain, mirrored, strict=True):
        back = other.points[FLIP_INDEX] * [-1, 1] + [192, 0]
        shifts.append((one.points - back).mean(axis=0))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.8


def test_a_photo_that_is_a_face_crop_stays_whole(finder):
    images, exact = faces.rendered()
    found = finder.find(list(images[:8]))
    assert [len(one) for one in found] == [1] * 8
    for (face,), image, truth in zip(found, images[:8], exact[:8], strict=True):
        np.testing.assert_array_equal(face.crop, image)
        points = truth.reshape(106, 2)
        unit = np.linalg.norm(points[RIGHT_OUTER] - points[LEFT_OUTER])
        error = np.linalg.norm(face.landmarks.reshape(106, 2) - points, axis=1).mean() / unit
        assert error < 0.08


def test_small_faces_are_found_in_tiles(finder):
    photo = faces.astronaut()
    small = cv2.resize(photo, (220, 220), interpolation=cv2.INTER_AREA)
    crowd = np.full((800, 1100, 3), 120, np.uint8)
    places = [(30, 40), (420, 300), (840, 560)]
    for left, top in places:
        crowd[top : top + 220, left : left + 220] = small
    (found,) = finder.find([crowd])
    expected = sorted((left + 223 * 220 / 512, top + 127 * 220 / 512) for left, top in places)
    assert len(found) == 3
    for nose, place in zip(sorted(noses(found)), expected, strict=True):
        assert_near(nose, place)


@pytest.mark.parametrize('turned', [False, True])
def test_faces_of_a_long_photo_are_found_wherever_they_are(finder, turned):
    face = cv2.resize(faces.astronaut()[:300, 80:380], (900, 900), interpolation=cv2.INTER_CUBIC)
    photo = np.full((900, 12000, 3), 120, np.uint8)
    lefts = [0, 2137, 4460, 8020, 11100]  # by the edges, and across the borders of tiles
    for left in lefts:
        photo[:, left : left + 900] = face
    noses_in_photo = [(left + 3 * (223 - 80), 3 * 127) for left in lefts]
    if turned:  # a tall photo of the same faces, one below the other
        photo = np.concatenate([photo[:, left : left + 900] for left in lefts], axis=0)
        photo = np.pad(photo, ((0, 6000), (0, 0), (0, 0)), constant_values=120)
        noses_in_photo = [(3 * (223 - 80), 900 * row + 3 * 127) for row in range(len(lefts))]
    (found,) = finder.find([photo])
    assert len(found) == len(lefts)
    axis = 1 if turned else 0
    by_place = sorted(noses(found), key=lambda nose: nose[axis])
    for nose, place in zip(by_place, noses_in_photo, strict=True):
        assert_near(nose, place, limit=18)  # the photo is enlarged three times


@pytest.mark.parametrize(
    'photo',
    [np.zeros((5, 5, 3), np.float32), np.zeros((5, 5), np.uint8), np.zeros((0, 5, 3), np.uint8)],
)
def test_what_is_no_photo_is_an_error(finder, photo):
    with pytest.raises(ValueError, match='photo 0'):
        finder.find([photo])


def test_cut_fills_what_is_beyond_the_photo():
    photo = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    cut = squares.cut(photo, squares.Square(-1, 2, 4), 4, (9, 8, 7))
    expected = np.empty((4, 4, 3), np.uint8)
    expected[:] = (9, 8, 7)
    expected[:2, 1:] = photo[2:, :3]
    np.testing.assert_array_equal(cut, expected)
    away = squares.cut(photo, squares.Square(50, 50, 3), 2, (1, 2, 3))
    np.testing.assert_array_equal(away, np.broadcast_to(np.uint8([1, 2, 3]), (2, 2, 3)))


@pytest.mark.parametrize(('width', 'height'), [(1000, 600), (400, 900), (640, 640), (1001, 333)])
def test_tiles_cover_a_photo_and_stay_inside(width, height):
    seen = np.zeros((height, width), int)
    for left, top, side in squares.tiles(width, height, 0.5):
        assert side == round(max(width, height) / 2)
        assert left >= min(0, (width - side) // 2) and top >= min(0, (height - side) // 2)
        seen[max(top, 0) : top + side, max(left, 0) : left + side] += 1
    assert seen.min() >= 1


def crowd(count):
    """The same face `count` times, six in each row."""
    face = cv2.resize(faces.astronaut()[:210, 120:330], (160, 160), interpolation=cv2.INTER_AREA)
    sheet = np.full((160 * -(-count // 6), 160 * 6, 3), 90, np.uint8)
    for place in range(count):
        row, column = divmod(place, 6)
        sheet[160 * row : 160 * (row + 1), 160 * column : 160 * (column + 1)] = face
    return sheet


@pytest.mark.parametrize(('count', 'limit'), [(1, 1), (2, 1), (24, 1), (24, 16), (24, 30), (3, 2)])
def test_the_limit_of_faces_holds_for_a_photo(finder, count, limit):
    limited = dataclasses.replace(finder, max_faces=limit)
    (found,) = limited.find([crowd(count)])
    assert len(found) == min(count, limit)


def test_the_faces_with_the_best_scores_are_kept_in_their_order(finder):
    photo = crowd(6)
    photo[:, 320:480] = cv2.GaussianBlur(photo[:, 320:480], (0, 0), 3)
    (every,) = finder.find([photo])
    (some,) = dataclasses.replace(finder, max_faces=4).find([photo])
    best = sorted((face.score for face in every), reverse=True)[:4]
    assert sorted((face.score for face in some), reverse=True) == best
    assert [face.square.side for face in some] == sorted(
        (face.square.side for face in some), reverse=True
    )
