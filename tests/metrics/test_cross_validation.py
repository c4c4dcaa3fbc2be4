import dataclasses

import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.metrics import cross_validation, readers, rege


def au_sample(number, said, label):
    text = f'{", ".join(f"AU{au}" for au in said) or "No action unit"} here.'
    return rege.Sample(str(number), text, 'AU4 here.', ', '.join(map(str, label)))


def au_folds(seed, aus=(1, 4, 9), sizes=(5, 7, 11)):
    rng = np.random.default_rng(seed)
    folds = []
    for size in sizes:
        said, labelled = rng.random((2, size, len(aus))) < 0.5
        folds.append(
            [au_sample(i, np.array(aus)[said[i]], np.array(aus)[labelled[i]]) for i in range(size)]
        )
    return folds


def test_f1_is_averaged_over_folds_and_then_over_action_units():
    folds = [rege.score(samples, 'au', (1, 4, 9)) for samples in au_folds(0)]
    mean = cross_validation.average(folds)
    by_fold = np.array([[f.strict.per_au[au] for au in ('1', '4', '9')] for f in folds])
    np.testing.assert_allclose(
        [mean.strict.per_au[au] for au in ('1', '4', '9')], by_fold.mean(axis=0)
    )
    assert mean.strict.s_re == pytest.approx(by_fold.mean())
    assert mean.strict.s_rege == pytest.approx(np.mean([f.strict.s_rege for f in folds]))
    assert mean.strict.std['s_re'] == pytest.approx(by_fold.mean(axis=1).std(ddof=1))
    assert mean.n == 23
    assert mean.strict.positives_per_au['4'] == sum(
        fold.strict.positives_per_au['4'] for fold in folds
    )


def test_an_action_unit_that_a_fold_lacks_is_averaged_over_the_others():
    absent = [au_sample(0, (1,), (1,)), au_sample(1, (), (1,))]
    present = [au_sample(0, (1, 4), (1, 4)), au_sample(1, (4,), (1,))]
    folds = [rege.score(samples, 'au', (1, 4)) for samples in (absent, present)]
    mean = cross_validation.average(folds).strict
    assert folds[0].strict.per_au['4'] is None
    assert mean.per_au == pytest.approx({'1': 200 / 3, '4': 200 / 3})
    # Not the mean of the folds' own means.
    assert mean.s_re == pytest.approx(200 / 3)


def test_reference_scoring_averages_what_the_script_prints_for_each_fold():
    skipped = [au_sample(0, (1,), (1,)), au_sample(1, (), (1,))]  # AU4 has no positive: left out
    present = [au_sample(0, (1, 4), (1, 4)), au_sample(1, (4,), (1,))]
    folds = [rege.score(samples, 'au', (1, 4)) for samples in (skipped, present)]
    assert len(folds[0].reference.per_au) == 1
    printed = [fold.reference.s_re for fold in folds]
    assert cross_validation.average(folds).reference.s_re == pytest.approx(np.mean(printed))


def test_emotions_average_and_their_confusions_add_up():
    right = rege.Sample('0', 'She looks happy.', 'Happy.', 'happiness')
    wrong = rege.Sample('1', 'She looks happy.', 'Sad.', 'sadness')
    folds = [[right, wrong], [dataclasses.replace(right, id='2')]]
    scores = [rege.score(samples, 'emotion') for samples in folds]
    assert all(fold.strict.per_class['happiness'].f1_interval for fold in scores)
    mean = cross_validation.average(scores)
    pooled = rege.score([sample for fold in folds for sample in fold], 'emotion')
    assert mean.strict.s_re == pytest.approx(75)
    assert pooled.strict.s_re == pytest.approx(200 / 3)
    assert mean.strict.confusion == pooled.strict.confusion
    assert {k: v.support for k, v in mean.strict.per_class.items()} == {
        k: v.support for k, v in pooled.strict.per_class.items()
    }
    assert 'interval' not in str(mean.to_json())


def test_folds_of_different_action_units_are_refused():
    folds = [rege.score([au_sample(0, (1,), (1,))], 'au', aus) for aus in ((1, 4), (1, 9))]
    with pytest.raises(UserError, match=r'\[1, 4\].*\[1, 9\]|\[1, 9\].*\[1, 4\]'):
        cross_validation.average(folds)


def test_the_reader_of_all_folds_is_that_of_their_mean():
    samples = [au_sample(i, {4}, {4}) for i in range(3)]
    first, second = (rege.score(samples, 'au', (4,), replicates=0, reader=r) for r in readers.NAMES)
    mean = cross_validation.average([second, second]).strict
    assert (mean.reader, mean.hash) == (second.strict.reader, second.strict.hash)
    with pytest.raises(UserError, match=r'same strict reader.*strict-1 and strict-2'):
        cross_validation.average([first, second])
