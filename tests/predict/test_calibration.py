import json

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from emola_jax.errors import UserError
from emola_jax.predict import calibration

EMPTY = np.zeros((0, 7)), np.zeros(0, int)
NO_AUS = np.zeros((0, 3)), np.zeros((0, 3), bool)


def test_the_temperature_that_made_the_labels_is_found_again():
    rng = np.random.default_rng(0)
    honest = log_softmax(rng.normal(0, 1.5, (6000, 7)), axis=1)
    labels = np.array([rng.choice(7, p=np.exp(row)) for row in honest])
    made = calibration.fit(log_softmax(3 * honest, axis=1), labels, *NO_AUS)
    assert made.temperature == pytest.approx(3, rel=0.1)
    told = made.about['emotion']
    assert told['ece_after'] < 0.03 < 0.1 < told['ece_before']


def test_slope_and_offset_are_found_again():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (4000, 3))
    labels = rng.random(honest.shape) < expit(honest)
    made = calibration.fit(*EMPTY, (honest - 1) / 0.5, labels)
    assert made.slope == pytest.approx(0.5, rel=0.1)
    assert made.offset == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(made.aus((honest - 1) / 0.5), expit(honest), atol=0.03)
    assert made.temperature == 1


def test_what_a_report_shows_of_it_can_be_written_down():
    log_odds = np.array([[2.0, 1.0, 0.0], [-1.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    labels = np.array([[True, False, True], [False, False, False], [False, False, True]])
    told = calibration.fit(*EMPTY, log_odds, labels).about['au']
    assert sum(count for *_, count in told['bins_before']) == labels.size
    gaps = sum(n * abs(given - true) for given, true, n in told['bins_after'])
    assert told['ece_after'] == pytest.approx(gaps / labels.size)
    areas = calibration.au_areas(log_odds, labels, (4, 6, 12))
    assert areas == {'4': 1.0, '6': None, '12': 0.5}
    assert json.loads(json.dumps([told, areas])) is not None


def test_it_is_read_back_for_the_same_checkpoint_only(tmp_path):
    made = calibration.Calibration(2.0, 0.5, -0.1, {'split': 'validation'})
    calibration.save(tmp_path, made, {'step': 4})
    assert calibration.load(tmp_path, {'step': 4}) == made
    assert calibration.load(tmp_path, {'step': 5}) is None
    (tmp_path / calibration.CALIBRATION_FILE).write_text('{')
    with pytest.raises(UserError, match='calibrate'):
        calibration.load(tmp_path, {'step': 4})
