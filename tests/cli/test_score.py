import json
import subprocess
import sys

import pytest

from emola_jax.cli import score
from emola_jax.metrics.action_units import SCORED_AUS

ROWS = [
    {'id': 'a', 'task': 'au', 'prediction': 'AU4.', 'reference': 'AU4.', 'label': '4'},
    {'id': 'b', 'task': 'au', 'prediction': 'AU12.', 'reference': 'AU4.', 'label': '4'},
    {'id': 'c', 'task': 'emotion', 'prediction': 'Fear.', 'reference': 'Fear.', 'label': 'fear'},
]


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / 'predictions.jsonl'
    path.write_text(''.join(json.dumps(row) + '\n' for row in ROWS))
    return path


def test_scores_of_one_task_stand_at_the_top(predictions, tmp_path, capsys):
    out = tmp_path / 'scores.json'
    arguments = [str(predictions), '--dataset=faba', '--task=au', f'--out={out}']
    assert score.main(arguments) == 0
    written = json.loads(out.read_text())
    assert set(written) == {'n', 'reference', 'strict', 'rouge_score'}
    assert written['n'] == 2
    assert written['strict']['per_au']['4'] == pytest.approx(200 / 3)
    assert written['strict']['s_rege'] == written['strict']['s_re'] + written['strict']['s_ge']
    assert written['rouge_score'] == {'rouge_l': 50.0}
    low, high = written['strict']['interval']['s_re']
    assert low <= written['strict']['s_re'] <= high
    shown = capsys.readouterr().out
    assert 'strict' in shown and 'reference' in shown and str(out) in shown


def test_scores_of_emotions(predictions, tmp_path):
    out = tmp_path / 'scores.json'
    assert score.main([str(predictions), '--task=emotion', f'--out={out}']) == 0
    written = json.loads(out.read_text())
    assert written['strict']['per_class']['fear']['f1'] == 100.0
    assert written['reference']['s_re'] == 100.0


def test_comparison_with_other_answers(predictions, tmp_path, capsys):
    other, out = tmp_path / 'other.jsonl', tmp_path / 'scores.json'
    rows = [{**row, 'prediction': 'AU4.'} for row in ROWS[1::-1]]
    other.write_text('\n'.join(map(json.dumps, rows)))
    arguments = [str(predictions), f'--against={other}', '--task=au', '--aus=4', f'--out={out}']
    assert score.main(arguments) == 0
    test = json.loads(out.read_text())['against']['strict']['s_re']
    assert test['difference'] == pytest.approx(200 / 3 - 100)
    assert 0 < test['p_value'] <= 1
    assert 'difference' in capsys.readouterr().out


@pytest.mark.parametrize('dataset', [*SCORED_AUS, 'faba_instruct', 'DISFA', 'folder'])
def test_action_units_of_a_data_set(predictions, tmp_path, dataset):
    out = tmp_path / 'scores.json'
    arguments = [str(predictions), f'--dataset={dataset}', '--task=au', f'--out={out}']
    assert score.main(arguments) == 0
    expected = SCORED_AUS.get({'faba_instruct': 'faba'}.get(dataset, dataset.lower()), (4,))
    per_au = json.loads(out.read_text())['strict']['per_au']
    assert list(per_au) == [str(au) for au in expected]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--task=au', '--dataset=fer'], "data set 'fer': expected one of"),
        (['--task=au', '--aus=four'], '--aus=four: expected FACS numbers'),
        (['--task=au', '--aus='], '--aus=: expected FACS numbers'),
        (['--task=au', '--against=none.jsonl'], 'none.jsonl: no such file'),
        (['--task=au', '--out=.'], '.: is a folder'),
        (['--task=au', '--out=/proc/none/scores.json'], '/proc/none'),
    ],
)
def test_bad_arguments_are_one_sentence(predictions, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        score.main([str(predictions), *arguments])
    error = str(ended.value.code)
    assert message in error
    assert '\n' not in error


def test_a_bad_row_is_one_sentence(predictions, capsys):
    with predictions.open('a') as file:
        file.write('{"id": "d"\n')
    with pytest.raises(SystemExit) as ended:
        score.main([str(predictions), '--task=au'])
    error = str(ended.value.code)
    assert 'line 4: not JSON' in error and '\n' not in error


def test_help_does_not_wait_for_jax():
    code = (
        'import sys\nfrom emola_jax.cli import score\n'
        'try:\n    score.main(["--help"])\nexcept SystemExit:\n    sys.exit("jax" in sys.modules)'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert run.returncode == 0
    assert '--against' in run.stdout and '6 fear' in run.stdout


@pytest.mark.parametrize('task', ['emotion', 'au'])
def test_unanswered_samples_of_a_crashed_run_are_wrong_and_said(tmp_path, capsys, task):
    label, answer = ('0', 'Happiness is seen.') if task == 'emotion' else ('4', 'AU4 acts.')
    (tmp_path / 'jsons').mkdir()
    for number in range(3):
        row = {'image_path': 'x.jpg', 'label': answer, 'gt': label, 'rouge': 1.0}
        (tmp_path / 'jsons' / f'{number}.json').write_text(json.dumps(row))
    anno, out = tmp_path / 'anno.json', tmp_path / 'scores.json'
    anno.write_text(json.dumps([{'label': label, 'gpt4': answer}] * 7))
    flags = [f'--task={task}', f'--annotations={anno}', f'--out={out}', '--replicates=0']
    assert score.main([str(tmp_path), *flags]) == 0
    assert '3 of 7 answered' in capsys.readouterr().out
    scores = json.loads(out.read_text())
    assert scores['n'] == 7 and '3 of 7 answered' in scores['notes'][0]
    for scoring in ('strict', 'reference'):
        assert scores[scoring]['s_re'] < 70
