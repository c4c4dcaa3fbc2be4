"""The command of the ablation with runs that are pretended, and the configs of its rows."""

import contextlib
import json
import subprocess
from pathlib import Path

import pytest

from configs import _priors, emola, mini, tiny
from emola_jax.config import config_files
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.evaluation.evaluate import SCORES_FILE
from emola_jax.files.whole import write_json
from emola_jax.study import ablation, subrun
from tests.made_scores import made

AU_F1 = {'both': 40.0, 'shuffled': 25.0, 'image': 38.5}


def finish(workdir, row, seed):
    scores = made(AU_F1[row] + seed, 30.0, AU_F1[row] + seed + 30, n=12)
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / SCORES_FILE, {'au': scores.to_json()})
    (workdir / 'report.html').write_text('')


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Runs that score by row and seed and fail while `failing` names their row."""
    made, failing = [], set()

    def run(config, workdir, flags=()):
        row = config.partition('row=')[2] or 'both'
        seed = int(next((f.partition('=')[2] for f in flags if 'seed' in f), 0))
        if row in failing:
            raise UserError(f'{workdir}: killed')
        if (workdir / 'report.html').exists():
            return
        made.append((row, seed))
        finish(workdir, row, seed)

    monkeypatch.setattr(subrun, 'run', run)
    monkeypatch.setattr(ablation.run_page, 'write_report', lambda workdir: None)
    monkeypatch.setattr(ablation.terminal, 'print_summary', lambda workdir: None)
    return tmp_path, made, failing


def cells(workdir):
    lines = (workdir / 'ablation' / 'ablation.md').read_text().splitlines()
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines if line[:1] == '|']
    return {name: dict(zip(rows[0], [name, *row], strict=True)) for name, *row in rows[2:]}


def test_the_table_tells_scores_differences_and_answers(runs):
    workdir, made, _ = runs
    ablation.ablate('configs/tiny.py', workdir, ['shuffled', 'image'])
    assert made == [('both', 0), ('shuffled', 0), ('image', 0)]
    table = cells(workdir)
    assert table['vision + prior']['AU F1'] == '40.0'
    assert table['vision + shuffled prior']['AU F1'] == '25.0 (-15.0)'
    assert table['vision + computed prior']['AU REGE'] == '68.5 (-1.5)'
    assert {row['answers'] for row in table.values()} == {'12'}
    assert 'emotion S_re' not in table['vision + prior']
    in_report = json.loads((workdir / SCORES_FILE).read_text())['ablation']
    assert in_report['vision + shuffled prior']['au']['strict']['s_re'] == 25.0


def test_seeds_give_a_mean_and_a_range(runs):
    workdir, made, _ = runs
    ablation.ablate('configs/tiny.py', workdir, ['shuffled'], [0, 4])
    assert set(made) == {(row, seed) for row in ('both', 'shuffled') for seed in (0, 4)}
    table = cells(workdir)
    assert table['vision + shuffled prior']['AU F1'] == '27.0 (-15.0) 25.0..29.0'
    assert table['vision + prior']['seeds'] == '0, 4'
    assert 'no range' not in (workdir / 'ablation' / 'ablation.md').read_text()


def test_it_goes_on_where_it_was_killed_and_keeps_earlier_rows(runs):
    workdir, made, failing = runs
    failing.add('image')
    with pytest.raises(UserError, match='killed'):
        ablation.ablate('configs/tiny.py', workdir, ['shuffled', 'image'])
    assert set(cells(workdir)) == {'vision + prior', 'vision + shuffled prior'}
    failing.clear()
    ablation.ablate('configs/tiny.py', workdir, ['image'])
    assert sorted(made) == [('both', 0), ('image', 0), ('shuffled', 0)]
    assert len(cells(workdir)) == 3


def test_an_unknown_row_is_told_before_anything_runs(runs):
    workdir, made, _ = runs
    with pytest.raises(UserError, match='unknown blind; expected some of'):
        ablation.ablate('configs/tiny.py', workdir, ['blind'])
    assert not made


def test_a_run_is_a_process_with_the_rows_argument_and_flags(monkeypatch, tmp_path):
    asked = []

    class FailsTheSecondTime(contextlib.nullcontext):
        def __init__(self, command):
            super().__init__(self)
            asked.append(command)
            finish(tmp_path / 'ablation' / 'seed3' / 'both', 'both', 3)

        def wait(self):
            return int(len(asked) > 1)

        def terminate(self):
            raise AssertionError('nobody told it to leave')

    monkeypatch.setattr(subprocess, 'Popen', FailsTheSecondTime)
    with pytest.raises(UserError, match='failed'):
        ablation.ablate('configs/tiny.py', tmp_path, ['image'], [3], ['--config.train.steps=2'])
    assert asked[1][2:] == [
        'emola_jax.main',
        '--config=configs/tiny.py:row=image',
        f'--workdir={tmp_path / "ablation" / "seed3" / "image"}',
        '--config.seed=3',
        '--config.train.steps=2',
    ]


SENSES = {  # patches, then each prior as (source, place)
    'both': (True, [('disk', 'after')]),
    'prior_only': (False, [('disk', 'after')]),
    'vision_only': (True, []),
    'shuffled': (True, [('shuffled', 'after')]),
    'before': (True, [('disk', 'before')]),
    'image': (True, [('image', 'after')]),
    'several': (True, [('disk', 'after'), ('image', 'after')]),
}


def test_every_row_is_known_everywhere():
    assert set(SENSES) == set(_priors.ROWS) == set(ablation.TITLES)


@pytest.mark.parametrize('file', [mini, tiny, emola])
@pytest.mark.parametrize('row', list(SENSES))
def test_rows_of_a_config(file, row):
    config = file.get_config(f'row={row}')
    model = RunConfig.from_config_dict(config).model
    senses = (model.use_vision, [(prior.source, prior.place) for prior in model.priors])
    assert senses == SENSES[row]
    plain = file.get_config()
    assert config.base == plain.base  # all of them share one tower
    assert config.train == plain.train


def test_a_row_goes_with_a_preset():
    config = mini.get_config('long,row=image')
    assert config.train.steps == mini.get_config('long').train.steps
    assert config.model.prior.source == 'image'
    assert mini.get_config('image') == mini.get_config('row=image')


@pytest.mark.parametrize('argument', ['row=blind', 'long,int8', 'lang'])
def test_an_unknown_argument_is_told(argument):
    with pytest.raises(UserError, match='knows default, long'):
        config_files.resolve_flag(['main', f'--config=configs/mini.py:{argument}'])


def test_the_file_of_a_config_is_found_with_a_row(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = config_files.with_argument('configs/mini.py', 'row', 'before')
    assert Path(config_files.resolve(asked).partition(':')[0]).is_file()
    assert config_files.load(asked).model.prior.place == 'before'
