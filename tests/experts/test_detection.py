import numpy as np

from emola_jax.experts.detection import anchor_centres, decode, overlap, suppress


def test_anchors_are_those_of_mediapipes_options():
    """Strides 8, 16, 16, 16 on 128 pixels, two anchors a layer and cell, offset 0.5."""
    expected = []
    for stride, layers in ((8, 1), (16, 3)):
        for row in range(128 // stride):
            for column in range(128 // stride):
                expected += (
                    [((column + 0.5) * stride / 128, (row + 0.5) * stride / 128)] * 2 * layers
                )
    np.testing.assert_allclose(anchor_centres(), np.array(expected))


def test_raw_numbers_are_pixels_from_the_anchor():
    raw = np.zeros((1, 896, 16), np.float32)
    raw[0, 0, :6] = [8, -16, 64, 32, 4, 2]
    scores, places = decode(np.zeros((1, 896), np.float32), raw)
    x, y = anchor_centres()[0]
    np.testing.assert_allclose(scores, 0.5)
    corner = [x + 8 / 128 - 0.25, y - 0.125 - 0.125]
    np.testing.assert_allclose(
        places[0, 0, :4], [*corner, corner[0] + 0.5, corner[1] + 0.25], atol=1e-6
    )
    np.testing.assert_allclose(places[0, 0, 4:6], [x + 4 / 128, y + 2 / 128], atol=1e-6)


def weighted_suppression(scores, places, limit=0.3):
    """The same rule, told plainly in NumPy."""
    left = [i for i in np.argsort(-scores, kind='stable') if scores[i] >= 0.5]
    found = []
    while left:
        best = left[0]
        same = [i for i in left if iou(places[best], places[i]) > limit]
        weights = scores[same] / scores[same].sum()
        found.append((scores[best], weights @ places[same]))
        left = [i for i in left if i not in same]
    return found


def iou(a, b):
    sides = [max(min(a[k + 2], b[k + 2]) - max(a[k], b[k]), 0) for k in (0, 1)]
    common = sides[0] * sides[1]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common)


def test_suppression_equals_the_plain_rule():
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.2, 0.8, (4, 2))[rng.integers(0, 4, 200)] + rng.normal(0, 0.02, (200, 2))
    half = rng.uniform(0.05, 0.08, (200, 2))
    places = np.concatenate([centres - half, centres + half, rng.random((200, 12))], 1)
    scores = rng.random(200)
    expected = weighted_suppression(scores, places)
    found = suppress(scores[None].astype(np.float32), places[None].astype(np.float32), 32)
    assert 2 < len(expected) < 32
    assert int((found.scores > 0).sum()) == len(expected)
    for rank, (score, place) in enumerate(expected):
        np.testing.assert_allclose(found.scores[0, rank], score, rtol=1e-5)
        np.testing.assert_allclose(found.boxes[0, rank], place[:4], atol=1e-5)
        np.testing.assert_allclose(np.ravel(found.keypoints[0, rank]), place[4:], atol=1e-5)


def test_empty_boxes_overlap_nothing():
    assert float(overlap(np.zeros(4), np.zeros(4))) == 0.0
