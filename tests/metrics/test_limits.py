"""One answer, however long and whatever it repeats, takes little time and memory."""

import random
import time
import tracemalloc

import pytest

from emola_jax.files import json_lines
from emola_jax.metrics import action_units, emotions, lcs, readers, rege, rouge, rouge_batch
from emola_jax.metrics.scores import ReadInPart
from tests.metrics.strict_2.test_robustness import UNITS
from tests.metrics.test_rouge_batch import long_paragraph

SLOW = ['AU(', 'be ', '0.5 ', 'no ', 'no AU4 ', 'AU4 is not, ', "can't ", 'is be are ', 'AU 4 ( ']


@pytest.mark.parametrize('unit', SLOW, ids=repr)
def test_sixteen_kilobytes_are_read_at_once_by_the_first_reader(unit):
    text = (unit * (16_384 // len(unit) + 1))[:16_384]
    reader = readers.named('strict-1')
    for read in (reader.aus, reader.emotion):
        start = time.process_time()
        read(text)
        assert time.process_time() - start < 4  # one second, with room for a busy machine


@pytest.mark.parametrize('unit', [*SLOW, *UNITS[::3], 'e.g. ', 'A. ', 'AU4 - a ', '?'], ids=repr)
def test_the_reference_is_linear(unit):
    """Ten times the text takes ten times as long, not a hundred."""
    text = unit * (200_000 // len(unit))
    for read in (
        action_units.reference_aus,
        emotions.reference_emotion,
        lambda text: action_units.code_name_agreement(text, (1, 4)),
    ):
        start = time.process_time()
        read(text)
        assert time.process_time() - start < 3


@pytest.mark.parametrize('digits', ['1' * 5000, '0' * 5000 + '4', '٣' * 9000])
@pytest.mark.parametrize('name', readers.NAMES)
def test_a_number_that_python_refuses_is_no_action_unit(name, digits):
    reader = readers.named(name)
    assert reader.aus(f'AU{digits} and AU4 are active.') == {4}
    reader.emotion(f'{digits} % happy')
    assert action_units.reference_aus(f'AU{digits} AU4') == {4}


def test_a_long_answer_is_read_up_to_the_limit_and_the_scores_say_so():
    text = 'AU4 is active. ' + 'The face is calm. ' * 1000
    late = text + 'AU9 is active.'
    assert readers.named('strict-2').aus(late) == {4}
    samples = [rege.Sample('a', late, 'AU4.', '4'), rege.Sample('b', 'AU9.', 'AU9.', '9')]
    scores = rege.score(samples, 'au', (4, 9), replicates=0)
    assert scores.read_in_part == {'strict': ReadInPart('answers', 1, readers.LONGEST)}
    assert scores.reference.per_au['9'] == 100 / 1.5 or scores.strict.per_au['9'] == 100
    short = rege.score([rege.Sample('a', text[:16_000], 'x.', '4')], 'au', (4,), replicates=0)
    assert not short.read_in_part


def test_a_statement_without_end_is_ended_for_the_first_reader_alone():
    text = 'AU4, AU9, ' * 400 + 'are absent'
    first, second = readers.named('strict-1'), readers.named('strict-2')
    assert first.is_beyond(text) and not second.is_beyond(text)
    assert not first.is_beyond('AU4 is active. ' * 900)
    assert first.within(text).replace('. ', '').replace(' ', '') == text.replace(' ', '')
    assert max(map(len, first.within(text).split('. '))) <= readers.LONGEST_STATEMENT


def test_without_a_table_rouge_is_the_same(monkeypatch):
    pairs = [(long_paragraph(seed), long_paragraph(seed + 1000)) for seed in range(150)]
    expected = [(rouge.rouge_l(*pair), rouge.rouge_score_l(*pair)) for pair in pairs]
    monkeypatch.setattr(rouge, '_LARGEST_TABLE', -1)
    assert [(rouge.rouge_l(*pair), rouge.rouge_score_l(*pair)) for pair in pairs] == expected
    monkeypatch.setattr(lcs, '_BLOCK', 3)
    monkeypatch.setattr(rouge_batch, '_LONGEST', 1)
    monkeypatch.setattr(rouge_batch, '_PAIRS', 7)
    found = zip(rouge_batch.rouge_l(pairs), rouge_batch.rouge_score_l(pairs), strict=True)
    assert list(found) == expected
    assert sum(0 < score < 0.99 for score, _ in expected) > 80


def test_a_pair_of_twenty_thousand_words_needs_no_table():
    rng = random.Random(0)
    words = [f'w{i}' for i in range(500)]
    text = ' '.join(rng.choices(words, k=20_000))
    twice = ' '.join(word for word in text.split() for _ in (0, 1))
    tracemalloc.start()
    try:
        (score,) = rouge_batch.rouge_score_l([(text, twice)])
        assert score == pytest.approx(2 / 3)  # all of one in twice as many words
        assert rouge.rouge_score_l(text, twice) == score
        assert rouge_batch.rouge_l([(text, text)]) == [rouge.f1(500, 500, 500)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120 << 20  # the table would take 3.2 GB


def test_rows_are_not_held(tmp_path):
    path = tmp_path / 'rows.jsonl'
    path.write_text(''.join(f'{{"id": {i}, "prediction": "{"x" * 400}"}}\n' for i in range(20_000)))
    tracemalloc.start()
    try:
        assert sum(row['id'] >= 0 for _, row in json_lines.rows(path)) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 20
