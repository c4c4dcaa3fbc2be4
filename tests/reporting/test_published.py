import pytest

from emola_jax.facs import AU_LISTS, EMOTIONS
from emola_jax.metrics.action_units import SCORED_AUS
from emola_jax.reporting.published import DATASET_TITLES, FABA_INSTRUCT, PUBLISHED, published


def test_a_mean_is_that_of_its_parts():
    rows = [row for row in PUBLISHED if row.per_au]
    assert len(rows) > 20
    for row in rows:
        # Printed parts and printed mean are rounded to 0.1 each.
        assert sum(row.per_au.values()) / len(row.per_au) == pytest.approx(row.s_re, abs=0.1), row


def test_parts_are_the_data_sets_action_units():
    for row in PUBLISHED:
        assert row.dataset in DATASET_TITLES
        assert not row.per_au or tuple(row.per_au) == AU_LISTS[row.dataset]
        assert all(0 < value < 100 for value in (row.s_re, *row.per_au.values()))


def test_rege_is_the_sum_of_its_halves():
    rows = [row for row in PUBLISHED if row.s_ge is not None]
    assert len(rows) == 4
    for row in rows:
        assert row.s_re + row.s_ge == pytest.approx(row.s_rege, abs=0.01)


def test_a_data_set_is_listed_upwards_and_names_where_it_was_read():
    for dataset in DATASET_TITLES:
        for task in ('emotion', 'au'):
            rows = published(dataset, task)
            assert [row.s_re for row in rows] == sorted(row.s_re for row in rows)
            assert all(row.source and row.model for row in rows)
            assert len({row.model for row in rows}) == len(rows)
    assert published('synthetic_faces', 'au') == ()


def test_the_authors_outputs_are_possible_scores():
    """Accuracy is a whole number of the 403 test faces; mean F1 is over the scored AUs."""
    outputs = next(r for r in published('faba', 'emotion') if 'outputs' in r.model)
    right = outputs.s_re / 100 * FABA_INSTRUCT.records['eval']['emotion']
    assert right == pytest.approx(round(right), abs=0.02)
    assert len(SCORED_AUS['faba']) == 12 and len(EMOTIONS) == 7
