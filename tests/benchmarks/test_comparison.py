"""Both sides of a comparison do the same work."""

import numpy as np
import pytest

from benchmarks import generation, measure, shapes, train_step
from emola_jax.models.emola import Emola
from tests.models.tiny import random_params, run

TINY = shapes.PRESETS['tiny']


def test_both_sides_train_alike():
    found = train_step.compare(TINY, turns=2)
    ours, theirs = found['sides']['emola'], found['sides']['torch']
    assert ours['first_loss'] == pytest.approx(theirs['first_loss'], abs=1e-5)
    # After four steps of the optimiser; a part that only one side trains would show.
    assert ours['loss'] == pytest.approx(theirs['loss'], abs=1e-3)
    assert ours['loss'] < ours['first_loss'] - 1e-3
    for side in (ours, theirs):
        assert len(side['walls']) == 2
        assert side['peak'] > 1e8
    assert found['ratios']['torch']['wall'] == theirs['wall'] / ours['wall']


def test_both_sides_write_the_same_answers():
    found = generation.compare(TINY, (3,), turns=1)
    for row in found['batches'].values():
        assert row['same_tokens'] == 1


def test_packed_conversations_are_the_same_conversations():
    batch = shapes.training_batch(TINY.replace(conversations=4))
    rows = shapes.packed(batch, segments=2)
    model, params = Emola(TINY.model), random_params(TINY.model)
    alone, joined = (np.asarray(run(model, params, b)) for b in (batch, rows))
    np.testing.assert_allclose(joined.reshape(alone.shape), alone, rtol=1e-4, atol=1e-4)
    assert (batch['loss_weights'].sum(axis=1) == TINY.trained).all()


def test_turns_alternate_and_medians_count():
    asked = []

    def side(name, walls):
        times = iter(walls)

        def turn():
            asked.append(name)
            return {'wall': next(times), 'cpu': 1.0, 'note': len(asked)}

        return turn

    calls = {'a': side('a', [9.0, 1.0, 2.0, 30.0]), 'b': side('b', [9.0, 4.0, 8.0, 6.0])}
    found = measure.alternate(calls, warm_up=1, turns=3)
    assert asked == ['a', 'b', *'ababab']
    assert (found['a']['wall'], found['a']['best'], found['a']['note']) == (2.0, 1.0, 7)
    assert measure.ratio(found, 'a', 'b', work=2) == {'wall': 6.0, 'cpu': 2.0, 'best': 8.0}
    assert measure.rounded({'x': (0.123456, 1234567)}) == {'x': [0.1235, 1234567]}


def test_a_side_that_fails_says_why():
    with pytest.raises(RuntimeError, match='no_such_module'):
        measure.Side('no_such_module:work', {})
