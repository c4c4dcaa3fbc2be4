import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.evaluation import evaluate
from emola_jax.files.whole import read_jsonl, write_json
from emola_jax.metrics import action_units, rege
from emola_jax.metrics.answer_row import AnswerRow
from emola_jax.metrics.scores import tasks_json
from emola_jax.study import cross_validation
from tests.test_main_job import environment

CHECKOUT = Path(__file__).parents[2]


def answer(number, said, label, task='au'):
    return {
        'id': f'face-{number}',
        'image': f'faces/{number}.png',
        'task': task,
        'dataset': 'disfa',
        'instruction': 'Which action units?',
        'prediction': said,
        'reference': 'AU4 is seen.',
        'label': label,
        'parsed': action_units.parse(said),
        'rouge_l': 0.5,
        'finished': True,
    }


def fold(folder, rows):
    folder.mkdir(parents=True)
    (folder / 'predictions.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    answers = [AnswerRow.from_json(row, 'test') for row in rows]
    write_json(folder / 'scores.json', tasks_json(evaluate.score(answers, (4, 12))))
    return folder


@pytest.fixture
def three(tmp_path):
    """Mean F1 of AU4 and AU12 by fold: 100 and 100, 0 and 100, 100 and 0."""
    said = {
        'fold1': [('AU4 and AU12.', '4, 12')],
        'fold2': [('AU12.', '4, 12'), ('AU4, AU12.', '12')],
        'fold3': [('AU4.', '4, 12'), ('AU4.', '4'), ('AU4.', '4')],
    }
    numbers = iter(range(9))
    return tmp_path, {
        name: fold(tmp_path / name, [answer(next(numbers), *pair) for pair in pairs])
        for name, pairs in said.items()
    }


def test_the_scores_are_the_mean_of_the_folds_and_those_of_all_samples_at_once(three):
    workdir, folders = three
    cross_validation.gather(folders, workdir)
    scores = json.loads((workdir / 'scores.json').read_text())
    assert scores['au']['n'] == 6
    assert scores['au']['strict']['per_au'] == pytest.approx({'4': 200 / 3, '12': 200 / 3})
    assert scores['au']['strict']['s_re'] == pytest.approx(200 / 3)
    # Counted over all six: AU4 4 hits of 5 said and 5 labelled; AU12 3 of 3 and 4.
    assert scores['pooled']['au']['strict']['per_au'] == pytest.approx({'4': 80, '12': 600 / 7})
    assert [each['au']['n'] for each in scores['folds'].values()] == [1, 2, 3]
    assert 'control' not in scores


def test_all_answers_are_there_to_be_scored_again(three):
    workdir, folders = three
    scores = cross_validation.gather(folders, workdir)
    rows = read_jsonl(workdir / 'predictions.jsonl')
    assert [row['fold'] for row in rows] == ['fold1', *['fold2'] * 2, *['fold3'] * 3]
    assert rows[1]['image'] == 'fold2/faces/1.png'
    again = rege.score([rege.Sample.from_row(row) for row in rows], 'au', (4, 12))
    assert again.strict == scores.pooled['au'].strict


def test_the_table_shows_every_action_unit_in_every_fold(three):
    workdir, folders = three
    cross_validation.gather(folders, workdir)
    text = (workdir / 'folds.md').read_text()
    lines = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines()]
    start = lines.index(['au, strict', 'fold1', 'fold2', 'fold3', 'mean', 'pooled', 'std'])
    rows = {line[0]: line[1:] for line in lines[start + 2 : start + 8] if line}
    assert rows['AU4 Brow Lowerer'] == ['100.0', '0.0', '100.0', '66.7', '80.0', '']
    assert rows['AU12 Lip Corner Puller'] == ['100.0', '100.0', '0.0', '66.7', '85.7', '']
    std = np.std([100, 50, 50], ddof=1)
    assert rows['S_re'] == ['100.0', '50.0', '50.0', '66.7', '82.9', f'{std:.1f}']
    assert rows['samples'] == ['1', '2', '3', '6', '6', '']


def test_a_face_that_two_folds_test_is_refused(three):
    workdir, folders = three
    (workdir / 'fold2' / 'predictions.jsonl').write_text(
        (workdir / 'fold1' / 'predictions.jsonl').read_text()
    )
    with pytest.raises(UserError, match=r"fold2/predictions\.jsonl: 'face-0' is answered in fold1"):
        cross_validation.gather(folders, workdir)


def cross_validate(workdir, cache, *flags):
    return subprocess.run(
        [
            sys.executable,
            '-m',
            'emola_jax.folds',
            '--config=tests/fold_config.py',
            f'--workdir={workdir}',
            '--folds=2',
            *flags,
        ],
        cwd=CHECKOUT,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_one_command_trains_and_scores_all_folds_and_redoes_none(tmp_path):
    workdir, cache = tmp_path / 'run', tmp_path / 'cache'
    limited = cross_validate(workdir, cache, '--', '--config.eval.limit=-1')
    assert limited.returncode == 1
    assert f'{workdir}/fold1: the run of tests/fold_config.py:fold=1 failed' in limited.stderr
    first = cross_validate(workdir, cache)
    assert first.returncode == 0, first.stderr[-4000:]
    scores = json.loads((workdir / 'scores.json').read_text())
    # Each face of each split is asked both questions.
    assert [each['au']['n'] for each in scores['folds'].values()] == [4, 5]
    assert scores['au']['n'] == scores['emotion']['n'] == scores['control']['au']['n'] == 9
    assert (workdir / 'folds.md').read_text().strip() in first.stdout

    written = {path: path.stat().st_mtime_ns for path in workdir.glob('fold?/report.html')}
    (workdir / 'scores.json').unlink()
    again = cross_validate(workdir, cache)
    assert again.returncode == 0, again.stderr[-4000:]
    assert json.loads((workdir / 'scores.json').read_text()) == scores
    assert written == {path: path.stat().st_mtime_ns for path in workdir.glob('fold?/report.html')}
    assert len(written) == 2
