from emola_jax.reporting import terminal
from tests import report_workdir
from tests.made_scores import made


def test_summary_shows_scores_baselines_and_files(tmp_path, capsys):
    workdir = report_workdir.write(tmp_path / 'run')
    scores = report_workdir.add_to_scores(
        workdir,
        control={'au': made(12.34, 1.0, 13.34, chance=9.87).to_json()},
    )
    terminal.print_summary(workdir)
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert f'{scores["au"]["strict"]["s_rege"]:.1f}' in lines['strict'][3:]  # the last task's
    assert lines['control'][1:4] == ['12.3', '1.0', '13.3']
    assert lines['control-chance'][1:3] == ['9.9', '–']
    assert lines['answers'] == ['answers', str(workdir / 'predictions.jsonl')]
    assert 'report' not in lines  # not written yet
    assert 'rendered' in shown
    assert len(shown.splitlines()) < 30 and max(map(len, shown.splitlines())) < 160


def test_summary_shows_intervals_of_both_scorings(tmp_path, capsys):
    workdir = report_workdir.write(tmp_path / 'run')
    scores = report_workdir.score('au').to_json()
    for scoring, low in (('strict', 10.04), ('reference', 20.06)):
        scores[scoring]['interval'] = {key: [low, 99.96] for key in ('s_re', 's_ge', 's_rege')}
    report_workdir.add_to_scores(workdir, au=scores)
    terminal.print_summary(workdir)
    shown = capsys.readouterr().out
    lines = shown[shown.index('Action units') :].splitlines()
    by_name = {line.split()[0]: line for line in lines if line.strip()}
    assert by_name['strict'].count('[10.0, 100.0]') == 3
    assert by_name['reference'].count('[20.1, 100.0]') == 3
    assert '[95 % interval]' in by_name['Action'] and '[' not in by_name['guess']
    # Numbers stay below the titles of their columns.
    heading, strict = by_name['Action'], by_name['strict']
    for title, key in (('S_re', 's_re'), ('S_ge', 's_ge'), ('REGE', 's_rege')):
        value = f'{scores["strict"][key]:.1f}'
        end = heading.index(title) + len(title)
        assert strict[:end].endswith(value)
    assert max(map(len, lines)) < 160


def test_summary_of_a_run_that_is_not_evaluated(tmp_path, capsys):
    workdir = report_workdir.write(tmp_path / 'run')
    (workdir / 'scores.json').unlink()
    terminal.print_summary(workdir)
    assert 'step 8, loss 0.375; not evaluated' in capsys.readouterr().out
    (workdir / 'metrics.jsonl').unlink()
    terminal.print_summary(workdir)
    assert 'nothing is trained' in capsys.readouterr().out
