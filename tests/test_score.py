import json

import pytest

from emola_jax import score

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


def test_scores_one_task(predictions, tmp_path, capsys):
    out = tmp_path / 'scores.json'
    arguments = [str(predictions), '--dataset=faba', '--task=au', f'--out={out}']
    assert score.main(arguments) == 0
    written = json.loads(out.read_text())
    assert written['au']['n'] == 2
    assert written['au']['strict']['per_au']['4'] == pytest.approx(200 / 3)
    assert 'strict' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('{"id": "d"', 'line 4: not JSON'),
        ('[]', 'line 4: expected a JSON object'),
        ('{"id": "d", "task": "au"}', "line 4: prediction d: field 'prediction' is missing"),
        (json.dumps(ROWS[0]), "line 4: id 'a' occurs twice"),
    ],
)
def test_a_bad_row_is_one_sentence(predictions, capsys, line, message):
    with predictions.open('a') as file:
        file.write(line + '\n')
    assert score.main([str(predictions), '--task=au']) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_unknown_data_set_and_missing_file(predictions, tmp_path, capsys):
    assert score.main([str(predictions), '--task=au', '--dataset=fer']) == 1
    assert score.main([str(tmp_path / 'none.jsonl'), '--task=au']) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "'fer'" in first and 'no such file' in second
