"""Mistakes on the command line of `emola_jax.main` and its kin end in one sentence, at once."""

import json
import os
import subprocess
import sys

import jax
import pytest

from emola_jax import workflow
from emola_jax.errors import UserError
from emola_jax.evaluation import questions
from emola_jax.files.locks import one_writer
from emola_jax.reporting import run_facts
from emola_jax.study import ablation, cross_validation
from emola_jax.training import log, optimiser
from tests import child_processes, report_workdir
from tests.made_scores import made
from tests.tiny_experiment import tiny_experiment


def started(module, *arguments):
    return subprocess.Popen(
        [sys.executable, '-m', f'emola_jax.{module}', *arguments],
        cwd=child_processes.CHECKOUT,
        env=child_processes.quick(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(module, *arguments):
    """What a command says before it exits with status 1."""
    process = started(module, *arguments)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert 'Traceback' not in said
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--config.train.stepz=5'], 'did you mean train.steps?'),
        (['--config.train.steps=-5'], '--config.train.steps=-5: expected a whole number'),
    ],
)
def test_a_mistaken_flag_is_one_sentence_and_makes_no_folder(flags, message, tmp_path):
    folder = tmp_path / 'run'
    said = refused('main', '--config=configs/tiny.py', f'--workdir={folder}', *flags)
    assert said.startswith('emola_jax: ') and message in said
    assert not folder.exists()


def test_a_folder_in_use_is_refused_by_a_second_process(tmp_path):
    with one_writer(tmp_path, 'trains'):
        said = refused('main', '--config=configs/tiny.py', f'--workdir={tmp_path}')
    assert f'{tmp_path}: in use by process {os.getpid()}' in said and 'which trains' in said
    assert not (tmp_path / 'checkpoints').exists()


@pytest.mark.slow
def test_of_two_runs_in_one_folder_one_works_and_one_is_told(tmp_path):
    flags = ('--config=configs/tiny.py', f'--workdir={tmp_path}', '--mode=train')
    pair = [started('main', *flags) for _ in range(2)]
    said = [process.communicate(timeout=600)[1] for process in pair]
    codes = [process.returncode for process in pair]
    assert sorted(codes) == [0, 1], said
    assert 'Traceback' not in ''.join(said)
    assert f'{tmp_path}: in use by process' in said[codes.index(1)]


def test_a_workdir_that_is_a_file_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    for mode in ('run', 'eval'):
        for folder in (tmp_path / 'file', tmp_path / 'file' / 'run'):
            flags = (f'--workdir={folder}', f'--mode={mode}')
            assert str(tmp_path / 'file') in refused('main', '--config=configs/tiny.py', *flags)


def test_the_commands_over_runs_say_the_same(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='file: is a file; a folder was expected'):
        ablation.ablate('configs/tiny.py', tmp_path / 'file')
    with pytest.raises(UserError, match='file: is a file; a folder was expected'):
        cross_validation.cross_validate('tests/fold_config.py', tmp_path / 'file', 3)
    with one_writer(tmp_path, 'runs the folds'), pytest.raises(UserError, match='in use by'):
        cross_validation.cross_validate('tests/fold_config.py', tmp_path, 3)
    with one_writer(tmp_path / 'ablation', 'x'), pytest.raises(UserError, match='in use by'):
        ablation.ablate('configs/tiny.py', tmp_path)


def test_other_hosts_of_a_run_do_not_take_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, 'process_index', lambda: 1)
    with one_writer(tmp_path, 'trains'), workflow.alone_in(tmp_path, 'trains'):
        pass


@pytest.mark.parametrize('name', ['nowhere', 'empty'])
def test_there_must_be_a_run_to_evaluate(name, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'holds no run .*train first'):
        workflow.check_trained(tmp_path / name)


def test_a_limit_above_the_split_is_said(tmp_path, capsys):
    experiment = tiny_experiment(tmp_path, count=5, evaluation={'limit': 9})
    config = experiment.config.eval
    split, encoder = experiment.data.splits['test'], experiment.data.encoder
    assert len(questions.ask(split, encoder, config, blind=False)) == 5
    assert 'eval.limit is 9: split test has 5 usable records' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('steps', 'ratio', 'idle'), [(1, 0.03, True), (1, 0, False), (2, 0.03, False)]
)
def test_a_run_whose_only_step_has_rate_zero_is_known(steps, ratio, idle):
    assert optimiser.is_idle(optimiser.OptimiserConfig(warmup_ratio=ratio), steps) is idle


@pytest.mark.parametrize(
    ('file', 'text', 'message'),
    [
        ('config.json', '{"seed": 1}', 'not what a run writes'),
        ('config.json', '[]', 'expected a JSON object'),
        ('scores.json', '{"emotion": 3}', 'emotion is 3, expected a JSON object; evaluate again'),
        ('scores.json', '{}', "has no scores of task 'emotion'"),
        ('predictions.jsonl', '{"id": "a", "image": null}\n', "line 1: field 'task' is missing"),
        ('predictions.jsonl', '{"id": 7}\n', 'line 1: id is 7, expected a text'),
        ('metrics.jsonl', '{"loss": 1}\n', 'line 1: lacks step'),
        ('metrics.jsonl', 'xx\n', 'line 1: not JSON'),
    ],
)
def test_a_damaged_file_of_a_run_is_named(file, text, message, tmp_path):
    answer = report_workdir.row(0, 'emotion', '', 'fear', None)
    whole = {
        'config.json': '{"config": {"data": {"dataset": "x"}}, "base": {"description": "x"}}',
        'scores.json': json.dumps({'emotion': made(1.0, 1.0, 2.0).to_json()}),
        'predictions.jsonl': json.dumps(answer) + '\n',
        'metrics.jsonl': '',
    }
    for name, content in whole.items():
        (tmp_path / name).write_text(content)
    run_facts.load(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=f'{file}.*{message}'):
        run_facts.load(tmp_path)


def test_a_log_of_another_make_stops_a_run_that_would_go_on_in_it(tmp_path):
    (tmp_path / 'metrics.jsonl').write_text('{"loss": 1}\n')
    with pytest.raises(UserError, match=r'metrics\.jsonl, line 1: lacks step'):
        log.TrainLog(tmp_path, start=0, steps=1, every=1, rate=lambda step: 0.0, name_record=str)
