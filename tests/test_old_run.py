"""A run that an older version began goes on, answers and is converted with this one.

tests/golden/old_run was made by commit ba3cdbc with `configs/tiny.py` and stopped after step 4 of
6; the losses below are those that the same version then had at steps 5 and 6.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import emola_jax
from emola_jax.experiment import finished_run
from emola_jax.files.whole import read_jsonl
from emola_jax.formats.read_folder import read_folder
from tests import child_processes
from tests.fake_finder import Finder

pytestmark = pytest.mark.usefixtures('compiled_quickly')

OLD = Path(__file__).parent / 'golden' / 'old_run'
LOSSES = {5: 5.599852085113525, 6: 5.597880840301514}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """The run, trained to its end and evaluated."""
    workdir = tmp_path_factory.mktemp('old') / 'run'
    shutil.copytree(OLD, workdir)
    command = [sys.executable, '-m', 'emola_jax.main', '--config=configs/tiny.py']
    done = subprocess.run(
        [*command, f'--workdir={workdir}'],
        cwd=OLD.parents[2],
        env=child_processes.quick(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return workdir


def test_it_is_trained_to_its_end_with_the_same_losses(run):
    rows = {row['step']: row for row in read_jsonl(run / 'metrics.jsonl')}
    assert sorted(rows) == [1, 2, 3, 4, 5, 6]
    for step, loss in LOSSES.items():
        assert rows[step]['loss'] == pytest.approx(loss, rel=1e-6)


def test_it_is_evaluated(run):
    assert len(read_jsonl(run / 'predictions.jsonl')) == 16
    assert (run / 'report.html').is_file()


def test_it_answers(run, monkeypatch):
    monkeypatch.setattr('emola_jax.experts.registry.load_finder', lambda *_, **__: Finder())
    emola = emola_jax.load(run)
    (face,) = emola(Image.fromarray(np.full((60, 60, 3), 90, np.uint8)))
    assert sum(face.emotions.values()) == pytest.approx(1)


def test_it_is_converted(tmp_path):
    emola_jax.convert(OLD, 'hf', tmp_path / 'hf', verify=False)
    assert read_folder(tmp_path / 'hf').model.llm == finished_run.read_run(OLD).model.llm
