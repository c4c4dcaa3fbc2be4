import numpy as np
import pytest
from scipy import stats

from emola_jax.metrics import rege, resampling
from emola_jax.metrics.sample import Sample


def runs(both, first_only, second_only, neither):
    """Two runs on the emotion fear, with so many samples that both, one or none get right."""
    right, wrong = 'The face shows fear.', 'The face shows anger.'
    cells = [(right, right)] * both + [(right, wrong)] * first_only
    cells += [(wrong, right)] * second_only + [(wrong, wrong)] * neither
    return [
        [Sample(str(i), cell[side], 'It is fear.', 'fear') for i, cell in enumerate(cells)]
        for side in (0, 1)
    ]


@pytest.mark.parametrize('cells', [(30, 12, 3, 5), (10, 5, 5, 10), (40, 1, 0, 0), (5, 0, 9, 6)])
def test_paired_test_of_accuracy_is_the_exact_sign_test_of_mcnemar(cells):
    _, first_only, second_only, _ = cells
    exact = stats.binomtest(first_only, first_only + second_only).pvalue
    tests = rege.compare(*runs(*cells), 'emotion')
    for scoring in rege.SCORINGS:
        test = tests[scoring]['s_re']
        assert test.difference == pytest.approx(100 * (first_only - second_only) / sum(cells))
        # 9,999 draws: four standard errors.
        error = 4 * np.sqrt(exact * (1 - exact) / resampling.SHUFFLES) + 1 / resampling.SHUFFLES
        assert test.p_value == pytest.approx(exact, abs=error)


def test_interval_of_an_accuracy_is_the_binomial_one():
    samples, _ = runs(300, 100, 0, 100)
    low, high = rege.score(samples, 'emotion').strict.interval['s_re']
    expected = 100 * np.array(stats.binom.interval(0.95, 500, 0.8)) / 500
    assert [low, high] == pytest.approx(expected, abs=0.5)


def test_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(0).uniform(size=(2000, 1))
    sums = resampling.bootstrap_sums([values], 4000)[0][:, 0]
    spread = 1.96 * values.std() / np.sqrt(2000)
    expected = [values.mean() - spread, values.mean() + spread]
    assert resampling.interval(sums / 2000) == pytest.approx(expected, abs=1e-3)


def test_interval_of_a_difference_is_that_of_the_paired_differences():
    cells = (200, 60, 30, 110)
    _, first_only, second_only, _ = cells
    n, gap = sum(cells), first_only - second_only
    spread = 1.96 * np.sqrt(first_only + second_only - gap**2 / n) / n
    low, high = rege.compare(*runs(*cells), 'emotion')['strict']['s_re'].interval
    expected = 100 * np.array([gap / n - spread, gap / n + spread])
    assert [low, high] == pytest.approx(expected, abs=0.6)


def test_resampled_sums_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch):
    rows = np.random.default_rng(0).integers(0, 2, (50, 3)).astype(float)
    (whole,) = resampling.bootstrap_sums([rows], 40, seed=7)
    monkeypatch.setattr(resampling, '_DRAWS_AT_ONCE', 150)
    np.testing.assert_array_equal(resampling.bootstrap_sums([rows], 40, seed=7)[0], whole)


def test_undefined_scores_have_no_interval():
    assert resampling.interval(np.full(5, np.nan)) is None
    assert resampling.interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)


def test_f1_of_an_action_unit_and_its_interval_against_draws_one_by_one():
    rng = np.random.default_rng(3)
    labels, answers = rng.random((2, 60)) < 0.4
    samples = [
        Sample(str(i), 'AU4.' if a else 'AU9.', 'AU4.', '4' if label else '')
        for i, (label, a) in enumerate(zip(labels, answers, strict=True))
    ]
    drawn = []
    for _ in range(3000):
        pick = rng.integers(0, 60, 60)
        hits = (labels & answers)[pick].sum()
        drawn.append(200 * hits / (labels[pick].sum() + answers[pick].sum()))
    strict = rege.score(samples, 'au', (4,)).strict
    assert strict.per_au_interval['4'] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=3)
    assert strict.interval['s_re'] == strict.per_au_interval['4']


def test_runs_on_other_samples_are_not_compared():
    first, second = runs(3, 1, 1, 1)
    with pytest.raises(ValueError, match=r"1 only in the first, such as '5'"):
        rege.compare(first, second[:-1], 'emotion')
    with pytest.raises(ValueError, match=r"label 'fear' in the first run, '3' in the second"):
        rege.compare(first, [*second[:-1], Sample('5', 'x', 'x', '3')], 'emotion')
