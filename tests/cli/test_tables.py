import json
import re

import pytest

from emola_jax.cli import tables
from emola_jax.errors import UserError
from emola_jax.metrics import rege
from emola_jax.reporting import paper_tables
from emola_jax.reporting import table as table_text
from emola_jax.reporting.published import PUBLISHED
from emola_jax.reporting.table import Number, Row, Table
from tests.made_scores import made

HOSTILE = r'a_b & 50% of {x} | <y> #1 $z$ ~ ^ \q'


def sample(number, task, prediction, label, **more):
    reference = f'The reference number {number}.'
    row = {'id': f'{task}{number}', 'prediction': prediction, 'reference': reference}
    return row | {'task': task, 'label': label} | more


EMOTION = [
    sample(0, 'emotion', 'It is happiness.', 'happiness'),
    sample(1, 'emotion', 'The nose says fear.', 'fear'),
    sample(2, 'emotion', 'It is fear.', '6'),
]
AU = [
    sample(0, 'au', 'AU1 and AU4.', '1, 4'),
    sample(1, 'au', 'AU 2 - Outer Brow Raiser.', '2'),
    sample(2, 'au', 'AU12.', '6'),
]


def write(path, rows, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        ''.join(
            json.dumps({**row, **more} if isinstance(row, dict) else row) + '\n' for row in rows
        )
    )
    return path


def cells(text: str) -> list[list[str]]:
    """The cells of all lines of all Markdown tables."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    return [[c.strip() for c in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines]


def run(capsys, *arguments) -> str:
    status = tables.main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    return shown.out


def test_faba_bench_is_regenerated_from_predictions(tmp_path, capsys):
    write(tmp_path / 'mine' / 'predictions.jsonl', EMOTION + AU, dataset='faba_instruct')
    rows = cells(run(capsys, tmp_path / 'mine'))
    widths = [len(row) for row in rows]
    assert set(widths) == {8, 2 + 12 + 1}  # REGE of two tasks; the 12 scored AUs and their mean
    scores = rege.score([rege.Sample.from_row(row) for row in EMOTION], 'emotion')
    strict = next(row for row in rows if row[:2] == ['mine', 'strict'])
    wanted = list(scores.strict.headlines.values())
    assert [cell.split(' ')[0] for cell in strict[2:5]] == [f'{value:.1f}' for value in wanted]
    published = [row for row in rows if row[1] == 'published']
    assert ['EmoLA (README) †', 'published', '64.5', '31.7', '96.2', '56.3', '35.2', '91.5'] in (
        published
    )
    outputs = ['63.03', '31.84', '94.87', '56.12', '35.26', '91.38']
    assert ['EmoLA (outputs) †', 'published', *outputs] in published
    assert all(row[0].endswith('†') for row in published)
    assert not [row for row in rows if '†' in row[0] and row[1] != 'published']


def test_two_checkpoints_make_one_row(tmp_path, capsys):
    one = write(tmp_path / 'a.jsonl', EMOTION, dataset='faba')
    two = write(tmp_path / 'b.jsonl', AU, dataset='faba')
    rows = cells(run(capsys, f'Ours={one}', f'Ours={two}'))
    strict = [row for row in rows if row[:2] == ['Ours', 'strict']]
    assert len(strict[0]) == 8 and '–' not in strict[0]
    with pytest.raises(SystemExit) as ended:
        tables.main([f'Ours={one}', f'Ours={one}'])
    assert "are called 'Ours' and answer the task 'emotion'" in str(ended.value.code)


@pytest.mark.parametrize(('dataset', 'count'), [('bp4d', 12), ('disfa', 8), ('gft', 10)])
def test_action_units_of_a_data_set_beside_its_peers(tmp_path, capsys, dataset, count):
    path = write(tmp_path / 'mine.jsonl', AU)
    rows = cells(run(capsys, path, f'--dataset={dataset}', '--task=au'))
    assert {len(row) for row in rows} == {2 + count + 1}
    peers = [row for row in PUBLISHED if row.dataset == dataset]
    shown = {row[0]: row for row in rows if row[1] == 'published'}
    assert set(shown) == {f'{peer.model} †' for peer in peers}
    for peer in peers:
        assert shown[f'{peer.model} †'][-1] == f'{peer.s_re:.1f}'
    two = rows[0].index('AU2')
    by_scoring = {row[1]: row for row in rows if row[0] == 'mine'}
    assert by_scoring['strict'][two] == '100.0' and by_scoring['reference'][two] == '0.0'


def test_accuracy_of_raf_db(tmp_path, capsys):
    path = write(tmp_path / 'mine.jsonl', EMOTION)
    rows = cells(run(capsys, path, '--dataset=rafdb', '--task=emotion'))
    assert rows[0] == ['Method', 'Scoring', 'Accuracy', 'Macro F1']
    assert ['EmoLA †', 'published', '92.05', '–'] in rows
    (strict,) = [row for row in rows if row[:2] == ['mine', 'strict']]
    assert [cell.split(' ')[0] for cell in strict[2:]] == ['100.00', '100.00']


def test_rendered_faces_stand_beside_nothing_published(tmp_path, capsys):
    path = write(tmp_path / 'mine.jsonl', EMOTION + AU, dataset='synthetic_faces')
    text = run(capsys, path)
    assert 'published figures do not compare' in text
    rows = cells(text)
    assert 'published' not in {row[1] for row in rows}
    assert rows[-3 - 1][2:] == ['AU1', 'AU2', 'AU4', 'AU6', 'Mean']  # what the labels name


def test_folds_are_averaged_and_said(tmp_path, capsys):
    for fold, rows in ((1, AU[:1]), (2, AU[2:])):
        write(tmp_path / 'run' / f'fold{fold}' / 'predictions.jsonl', rows, dataset='disfa')
    write(tmp_path / 'run' / 'predictions.jsonl', AU, dataset='disfa')  # their union
    text = run(capsys, tmp_path / 'run')
    assert 'run: mean of 2 folds.' in text
    row = next(row for row in cells(text) if row[:2] == ['run', 'strict'])
    one, two = (
        rege.score([rege.Sample.from_row(r) for r in rows], 'au', (1, 2, 4, 6, 9, 12, 25, 26))
        for rows in (AU[:1], AU[2:])
    )
    assert row[-1] == f'{(one.strict.s_re + two.strict.s_re) / 2:.1f}'


def test_intervals_are_shown_where_scores_have_them():
    interval = {'s_re': (40.04, 60.0), 's_ge': (29, 31), 's_rege': (70, 90)}
    scores = {'emotion': made(50.0, 30.0, 80.0, interval=interval)}
    (table,) = paper_tables.tables([paper_tables.Method('mine', 'faba', scores)])
    assert '| mine | strict | 50.0 (40.0 to 60.0) | 30.0 (29.0 to 31.0) |' in table_text.markdown(
        table
    )
    assert r'mine & strict & 50.0 {\scriptsize(40.0, 60.0)} &' in table_text.latex(table)
    assert '95 %' in table.notes[0]


def example() -> Table:
    rows = (
        Row(HOSTILE, 'strict', (Number(1.25, (0.5, 3.5)), Number(None))),
        Row('peer', 'published', (Number(2.0), Number(3.05)), published=True),
    )
    return Table('x-y', HOSTILE, (('Group & co', 2),), ('S_re', 'AU1'), rows, ('A note †',))


def unescaped(text: str, signs: str) -> list[str]:
    return re.findall(rf'(?<!\\)[{re.escape(signs)}]', text)


def test_latex_is_balanced_escaped_and_of_one_width():
    text = table_text.latex(example())
    assert not unescaped(
        text.replace(r'$^\dagger$', '').replace(r'$S_{\mathrm{re}}$', ''), '%$#_^~'
    )
    depth = 0
    for sign in re.findall(r'(?<!\\)[{}]', text):
        depth += 1 if sign == '{' else -1
        assert depth >= 0
    assert depth == 0
    opened = re.findall(r'\\begin\{(\w+)\}', text)
    assert opened == list(reversed(re.findall(r'\\end\{(\w+)\}', text))) == ['table', 'tabular']
    columns = re.search(r'\\begin\{tabular\}\{(\w+)\}', text)[1]
    body = text[text.index(r'\midrule') : text.index(r'\bottomrule')]
    for line in body.splitlines():
        if line.endswith(r'\\'):
            assert len(re.split(r'(?<!\\)&', line)) == len(columns) == 4
    assert [text.count(rule) for rule in (r'\toprule', r'\midrule', r'\bottomrule')] == [1, 2, 1]
    assert r'\cmidrule(lr){3-4}' in text and r'\multicolumn{2}{c}{Group \& co}' in text
    assert text.isascii()


def test_markdown_keeps_its_columns_whatever_the_name():
    rows = cells(table_text.markdown(example()))
    assert {len(row) for row in rows} == {4}
    assert rows[0] == ['Method', 'Scoring', 'Group & co S<sub>re</sub>', 'Group & co AU1']
    assert rows[1] == ['---', '---', '---:', '---:']
    assert re.sub(r'\\(.)', r'\1', rows[2][0]) == HOSTILE
    assert rows[2][2:] == ['1.2 (0.5 to 3.5)', '–'] and rows[3][2:] == ['2.0', '3.05']


@pytest.mark.parametrize(
    ('rows', 'flags', 'message'),
    [
        (EMOTION, [], 'name no data set; give --dataset'),
        (EMOTION, ['--dataset=faba', '--task=au'], 'no task that is asked for'),
        ([], ['--dataset=faba'], 'empty; expected one JSON object a line'),
        ([EMOTION[0], []], ['--dataset=faba'], 'line 2: expected a JSON object'),
        ([EMOTION[0] | {'dataset': 'faba'}, EMOTION[1] | {'dataset': 'gft'}], [], 'of faba, gft'),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path, capsys, rows, flags, message):
    path = write(tmp_path / 'p.jsonl', rows)
    with pytest.raises(SystemExit) as ended:
        tables.main([str(path), *flags])
    error = str(ended.value.code)
    assert message in error and '\n' not in error


def test_a_folder_without_predictions_is_named(tmp_path):
    with pytest.raises(UserError, match=r'expected a predictions\.jsonl'):
        tables.read(str(tmp_path))


def test_written_to_a_file(tmp_path, capsys):
    path = write(tmp_path / 'p.jsonl', EMOTION, dataset='faba')
    out = tmp_path / 'tables.tex'
    assert str(out) in run(capsys, path, '--format=latex', f'--out={out}')
    assert out.read_text().startswith(r'\begin{table}')
