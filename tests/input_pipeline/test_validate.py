import numpy as np
import pytest

from input_pipeline.validate import problems
from tests.input_pipeline.fakes import png, record

KNOWN = (1, 2, 4, 12)
POINTS = np.zeros(212, np.float32)


def kinds(bad, **options):
    return [problem.kind for problem in problems(bad, known_aus=KNOWN, **options)]


def with_value(value, where=slice(3, 4)):
    points = POINTS.copy()
    points[where] = value
    return points


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'task': 'emotion', 'emotion': 0},
        {'emotion': -1},
        {'aus': ()},
        {'landmarks': with_value(1.2)},
    ],
)
def test_a_good_record(changes):
    assert kinds(record(**changes)) == []


def test_a_picture_that_was_decoded_before_need_not_be_again():
    assert kinds(record(image=b'not a picture'), decodes=False) == []
    assert kinds(record(image=b''), decodes=False) == ['missing image']


@pytest.mark.parametrize(
    ('changes', 'kind', 'message'),
    [
        ({'image': b''}, 'missing image', 'field image is empty'),
        ({'image': b'not a picture'}, 'unreadable image', 'field image holds no readable'),
        ({'image': png((9, 9, 9), 64)[:-40]}, 'unreadable image', 'field image'),
        ({'landmarks': POINTS[:-2]}, 'landmark count', 'has shape (210,), expected (212,)'),
        ({'landmarks': with_value(np.nan)}, 'missing landmarks', 'has 1 NaN among 212'),
        ({'landmarks': with_value(np.inf)}, 'landmarks out of range', 'reaches inf'),
        ({'landmarks': with_value(-9)}, 'landmarks out of range', 'reaches 9, expected at most'),
        ({'instruction': ' '}, 'empty instruction', 'field instruction is empty'),
        ({'response': '\n'}, 'empty response', 'field response is empty'),
        ({'response': 'An <image>.'}, 'image mark in text', "field response contains '<image>'"),
        ({'instruction': '<image>\nQ'}, 'image mark in text', 'field instruction contains'),
        ({'aus': (4, 13)}, 'unknown action unit', 'field aus has [13], expected some of 1, 2,'),
        ({'aus': (4, 4)}, 'repeated action unit', 'field aus is [4, 4]'),
        ({'emotion': 7}, 'emotion out of range', 'field emotion is 7, expected -1..6'),
        ({'task': 'emotion', 'emotion': -1}, 'emotion out of range', 'is -1, expected 0..6'),
        ({'task': 'pose'}, 'unknown task', "field task is 'pose', expected one of"),
    ],
)
def test_a_bad_record(changes, kind, message):
    (found,) = problems(record(5, **changes), known_aus=KNOWN)
    assert found.kind == kind
    assert found.record == 'face-005'
    assert found.message.startswith("record 'face-005': ")
    assert message in found.message


def test_all_problems_are_told():
    bad = record(image=b'', response='', aus=(99,))
    assert kinds(bad) == ['missing image', 'empty response', 'unknown action unit']


def test_landmarks_may_be_missing_where_they_are_not_used():
    absent = record(landmarks=np.full(212, np.nan, np.float32))
    assert kinds(absent) == ['missing landmarks']
    assert kinds(absent, needs_landmarks=False) == []
    assert kinds(record(landmarks=with_value(np.nan)), needs_landmarks=False) == [
        'missing landmarks'
    ]
