"""Whatever a model writes is read, in time that grows with its length, and always alike."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.facs import AU_NAMES
from emola_jax.metrics import strict_2
from tests.metrics.descriptions import AUS, EMOTIONS

UNITS = [
    'AU(', 'be ', 'no ', 'no AU4 ', 'not ', 'AU4, ', 'AU4: ', '[', '{', '{"a":', '[x] ', '| ',
    '|a', '*', '<p>', '<a', '<a>b</a>', 'is not ', 'happy ', 'no doubt ', 'a ', 'a', '1 ',
    'AU1+', 'sad, ', 'sad: ', 'can be ', 'AU4? no. ', '. ', ': ', '(', 'AU4 (', '\n', '\t', ' ',
    'AU4\n', '- AU4\n', 'happy 1% ', '1% happy ', 'seem to be not in ', 'none of ',
    'none of AU1, AU2 or ', 'units that which are ', 'a   ', '"', 'while ', 'final answer is ',
    'suprised ', '0.5 ', 'happy/', '+AU6\n-AU4\n', 'AU4,1\n', 'a\n---\n', '未', 'AU4 is not, ',
    '\\boxed{', '<think>', '...', 'wait, ', 'AU4 — wait, ', 'among AU1, AU2, ', 'at first AU4 ',
    'except AU4 ', 'it is not, ', 'AU4, but isn\'t, ', 'AU4: 0,5 ', '<a b="c"/>', '●○',
    '{"a": [', 'sad > ',
    'as is AU4 ', 'AUs: 4 (1), ', 'A) happy ',
]  # fmt: skip


@pytest.mark.parametrize('unit', UNITS, ids=repr)
def test_sixteen_kilobytes_of_anything_are_read_at_once(unit):
    text = (unit * (16_384 // len(unit) + 1))[:16_384]
    for read in (strict_2.aus, strict_2.emotion):
        start = time.process_time()
        read(text)
        assert time.process_time() - start < 3  # Half a second, with room for a busy machine.


SCRAPS = st.sampled_from(
    [
        *UNITS, 'AU12', 'AU 4', 'au_6', 'AU26/27', 'AU1-5', 'Lip Corner Puller', ': yes',
        ' - No', '=0', ': 0.7', ' 85%', '(B)', 'not ', 'neither ', 'nor ', 'without ',
        ' is absent', ' are active', 'Present:\n', '**Absent:**', '```json\n', '}', ']', 'true',
        'null', ',', ';', '?', '!', '\n\n', '✅', '❌', '</think>', '<answer>', 'sadness', 'angry',
        'mild smile', 'Overall, ', 'The answer is ', 'Options: ', 'the brows ', 'but ', '，', '。',
        '激活', '\x00', '\ud800', '٣', '²',
    ]
)  # fmt: skip
ANSWERS = st.one_of(
    st.text(max_size=300),
    st.lists(SCRAPS, max_size=40).map(''.join),
    st.lists(st.sampled_from([text for text, _ in AUS + EMOTIONS]), max_size=4).map('\n'.join),
)


@settings(max_examples=400, deadline=None)
@given(ANSWERS)
def test_any_text_is_read_alike_and_as_something_known(text):
    aus, emotion = strict_2.aus(text), strict_2.emotion(text)
    assert aus is None or aus <= AU_NAMES.keys()
    assert emotion is None or emotion in range(7)
    assert strict_2.aus(text) == aus
    assert strict_2.emotion(text) == emotion
