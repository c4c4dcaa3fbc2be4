"""The command on a tiny run; the split is made in memory."""

import json

import numpy as np
import pytest

from emola_jax.cli import calibrate
from emola_jax.errors import UserError
from emola_jax.experiment.trained import identity, run_config
from emola_jax.predict import calibration
from emola_jax.predict.load import load
from emola_jax.predict.model import Predictor
from tests.fake_finder import Finder
from tests.tiny_experiment import records


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(calibrate.hosts, 'start', lambda _: None)
    monkeypatch.setattr(calibrate.checkpoint_flags, 'finder', lambda _: Finder())
    monkeypatch.setattr(
        calibrate, 'load', lambda found, batch, **_: load(found, batch=batch, finder=Finder())
    )
    monkeypatch.setattr(calibrate, 'read_split', lambda config, split: records(12))


def test_it_writes_what_predict_uses_and_says_what_it_gained(run, fake, capsys):
    calibrate.main([str(run), '--batch=4'])
    path = run / calibration.CALIBRATION_FILE
    told = json.loads(path.read_text())
    made = calibration.load(run, identity(run))
    path.unlink()
    assert not (run / calibrate.ROWS_FOLDER).exists()
    assert made.fitted
    assert told['about']['emotion']['faces'] == told['about']['au']['faces'] == 6
    assert 'calibration error on 6 faces' in capsys.readouterr().out


def test_the_report_of_the_run_is_written_anew(run, fake, monkeypatch, capsys):
    page = run / calibrate.run_page.REPORT_FILE
    written = []
    monkeypatch.setattr(calibrate.run_page, 'write_report', lambda run: written.append(run) or page)
    calibrate.main([str(run), '--batch=4'])
    assert written == []
    page.touch()
    calibrate.main([str(run), '--batch=4'])
    told = json.loads((run / calibration.CALIBRATION_FILE).read_text())['about']['au']
    page.unlink()
    (run / calibration.CALIBRATION_FILE).unlink()
    assert written == [run] and str(page) in capsys.readouterr().out
    assert all(code.isdecimal() for code in told['roc_auc'])


def test_the_trained_split_is_refused(run):
    with pytest.raises(UserError, match='was trained on it'):
        calibrate.read_split(run_config(run), 'train')


def test_a_killed_command_goes_on_with_the_scores_that_it_has(run, fake, monkeypatch):
    asked, killed = [], []

    def emotions(self, batch):
        asked.extend(record.id for record in batch)
        return np.zeros((len(batch), 7))

    def aus(self, batch):
        if not killed:
            killed.append(True)
            raise KeyboardInterrupt
        return np.zeros((len(batch), len(self.codes)))

    monkeypatch.setattr(Predictor, 'emotion_scores', emotions)
    monkeypatch.setattr(Predictor, 'au_scores', aus)
    with pytest.raises(KeyboardInterrupt):
        calibrate.main([str(run), '--batch=4'])
    calibrate.main([str(run), '--batch=4'])
    (run / calibration.CALIBRATION_FILE).unlink()
    assert len(asked) == len(set(asked)) == 6
