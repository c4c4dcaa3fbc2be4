import pytest

from input_pipeline.brief import brief
from tests.input_pipeline.fakes import record


@pytest.mark.parametrize(
    'changes, answer',
    [
        ({'task': 'emotion', 'emotion': 6}, 'Fear.'),
        ({'task': 'au', 'aus': (12, 4)}, 'AU4, AU12.'),
        ({'task': 'au', 'aus': ()}, 'None.'),
    ],
)
def test_a_brief_answer_is_the_label_and_nothing_else(changes, answer):
    full = record(7, **changes)
    asked = brief(full)
    assert asked.response == answer
    assert asked.instruction != full.instruction
    assert (asked.id, asked.image, asked.aus) == (full.id, full.image, full.aus)
