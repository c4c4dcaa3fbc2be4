"""Strict scoring depends on what is said, not on order, company or layout."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.metrics import rege
from emola_jax.metrics.sample import Sample
from tests.metrics.descriptions import AUS, EMOTIONS

LIST = (1, 2, 4, 6, 7, 9, 12, 25)
SOME = st.lists(st.integers(0, 10_000), min_size=1, max_size=25)


def samples_of(task, numbers):
    texts = AUS if task == 'au' else EMOTIONS
    samples = []
    for i, number in enumerate(numbers):
        rng = np.random.default_rng(number)
        if task == 'au':
            label = ', '.join(str(au) for au in LIST if rng.random() < 0.4)
        else:
            label = str(rng.integers(7))
        prediction, reference = (texts[rng.integers(len(texts))][0] for _ in range(2))
        samples.append(Sample(str(i), prediction, reference, label))
    return samples


TASKS = st.sampled_from(['au', 'emotion'])


def strict(samples, task, aus=LIST):
    return rege.score(samples, task, aus, replicates=50).strict


@settings(max_examples=25, deadline=None)
@given(TASKS, SOME, st.randoms(use_true_random=False))
def test_order_of_the_samples(task, numbers, random):
    samples = samples_of(task, numbers)
    shuffled = random.sample(samples, len(samples))
    assert strict(shuffled, task) == strict(samples, task)


@settings(max_examples=25, deadline=None)
@given(TASKS, SOME, st.integers(1, 9))
def test_batch_size(task, numbers, size):
    """Contributions gathered a batch at a time add up to the same scores."""
    samples = samples_of(task, numbers)
    parts = [
        rege.gather(samples[i : i + size], task, LIST)['strict'].rows
        for i in range(0, len(samples), size)
    ]
    whole = rege.gather(samples, task, LIST)['strict'].rows
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@settings(max_examples=25, deadline=None)
@given(TASKS, SOME, st.data())
def test_white_space(task, numbers, data):
    """Blanks within lines, and around an answer, make no difference; line breaks do."""
    blanks = st.text(' \t', min_size=1, max_size=3)
    breaks = st.text(' \t\n\r', min_size=1, max_size=3)

    def reflowed(text):
        ends = data.draw(breaks), data.draw(breaks)
        lines = [data.draw(blanks).join(line.split()) for line in text.split('\n')]
        return ends[0] + '\n'.join(lines) + ends[1]

    samples = samples_of(task, numbers)
    other = [Sample(s.id, reflowed(s.prediction), reflowed(s.reference), s.label) for s in samples]
    assert strict(other, task) == strict(samples, task)


@settings(max_examples=25, deadline=None)
@given(SOME, st.permutations(LIST))
def test_order_of_the_action_units(numbers, order):
    samples = samples_of('au', numbers)
    permuted = strict(samples, 'au', order)
    expected = strict(samples, 'au')
    assert permuted == expected  # dicts compare without order
    for table in ('per_au', 'per_au_interval', 'accuracy_per_au', 'positives_per_au'):
        assert list(getattr(permuted, table)) == [str(au) for au in order]
