"""Answers in the wordings of many models, with what a person reads in them."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.metrics import readers

PHRASINGS = Path(__file__).parents[1] / 'phrasings'
READER = readers.named('strict-2')

ARGUED = {'表情：愤怒': 'anger'}
"""Given as unreadable; who reads AU4 in Chinese prose reads 'expression: anger' too."""


def rows(name):
    lines = (PHRASINGS / f'{name}.jsonl').read_text(encoding='utf-8').split('\n')
    return [json.loads(line) for line in lines if line]


@pytest.mark.parametrize('name', ['action_units', 'own_action_units'])
def test_action_units(name):
    wrong = []
    for row in rows(name):
        read = READER.aus(row['text'])
        if (None if read is None else sorted(read)) != row['aus']:
            wrong.append((row, read))
    assert not wrong


@pytest.mark.parametrize('name', ['emotions', 'own_emotions'])
def test_emotions(name):
    wrong = []
    for row in rows(name):
        read = READER.emotion(row['text'])
        expected = ARGUED.get(row['text'], row['emotion'])
        if (None if read is None else EMOTIONS[read]) != expected:
            wrong.append((row, read))
    assert not wrong


CHECKLIST = {1: True, 2: False, 4: False, 6: True, 12: True, 17: False, 25: False, 26: True}


@pytest.mark.parametrize(
    'yes, no', [('Yes', 'No'), ('present', 'absent'), ('1', '0'), ('✅', '❌')]
)
@pytest.mark.parametrize(
    'entry',
    [
        'AU{au} ({name}): {said}',
        'AU{au}: {said}',
        'AU{au:02d} = {said}',
        '- **AU{au}** ({name}) – {said}',
        '{name} (AU{au}): {said}',
        'AU{au} - {name}: {said}',
        '| AU{au} | {name} | {said} |',
        '{said} - AU{au}',
    ],
)
def test_a_checklist_reads_as_it_stands(entry, yes, no):
    if entry.startswith('{said}') and yes == '1':
        entry = 'AU{au}={said}'  # '1 - AU4' numbers a list
    lines = [
        entry.format(au=au, name=AU_NAMES[au], said=yes if active else no)
        for au, active in CHECKLIST.items()
    ]
    assert READER.aus('\n'.join(lines)) == {au for au, active in CHECKLIST.items() if active}


@pytest.mark.parametrize(
    'text',
    ['AU(', 'be ', '{', '[', '|', '<think>', 'not ', 'AU1 - ', 'AU4 is not ', 'happy ', 'no ',
     'AU1: no\n', '| AU1 | no |\n', 'a|b\t', '- ', 'not happy, ', '情', '"', 'A.U. '],
)  # fmt: skip
def test_long_repetitions_are_read_in_time_that_grows_with_their_length(text):
    """Counts, since seconds depend on the machine: twice the text costs about twice the work."""

    def work(length):
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += 1

        answer = text * (length // len(text))
        sys.setprofile(count)
        try:
            READER.aus.__wrapped__(answer)
            READER.emotion.__wrapped__(answer)
        finally:
            sys.setprofile(None)
        return calls

    assert work(8000) < 3 * work(4000) + 500


PIECES = st.sampled_from(
    ['AU4', 'AU12: ', 'no', 'yes', 'not', ' is ', '\n', '| ', '- ', '**', ': ', '0.8', '{"AU4": ',
     '}', '[', ']', 'happy', 'sad', 'fear', '?', '. ', '<think>', '</think>', '10%', '✓', '\u2028']
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=30).map(''.join)))
def test_any_text_is_read_or_unparsed(text):
    aus, emotion = READER.aus(text), READER.emotion(text)
    assert aus is None or aus <= AU_NAMES.keys()
    assert emotion is None or emotion in range(len(EMOTIONS))
