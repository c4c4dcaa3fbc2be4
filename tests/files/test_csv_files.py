"""Spreadsheets run nothing of what we write, and the texts can be had back."""

import csv
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.cli import statistics
from emola_jax.errors import UserError
from emola_jax.experts.extract import write_failures
from emola_jax.experts.pictures import Item
from emola_jax.files import csv_files
from emola_jax.reporting.dataset_counts import Entry
from emola_jax.reporting.landmark_audit import Finding, write_csv

ROOT = Path(__file__).parents[2]

FORMULAS = [
    '=1+1',
    '+1+1',
    '-1+cmd|" /C calc"!A0',
    '@SUM(1,2)',
    '\t=1',
    '\r=1',
    '\n=1',
    '\tplain',
    '\rplain',
    '  =1',
    ' \t @x',
    '"=1"',
    "'=1",
    '\'"=1',
    '\u00a0=1',
    '\ufeff=1',
    '\u200b+x',
    '\x00=1',
    '“=1”',
    '＝1+1',
    '＋1',
    '－x',
    '＠SUM(A1)',
    '=HYPERLINK("x")',
    '-',
    '--1',
    '-1-2',
    '-0.5a',
    '- a bullet',
    '=',
]

PLAIN = [
    '',
    'a',
    "'tis",
    "''",
    'a=b',
    'AU4 - Brow Lowerer',
    '1. AU4',
    "boys'",
    ' x',
    '(-1)',
    '\\=1',
]
NUMBERS = ['-0.5', '+3', '-1e-07', '-.5', '-12', '-3.25 100.1 -7', '0']


def runs(cell: str) -> bool:
    """Whether the cell begins, for a person who looks, with what starts a formula."""
    blanks = ''.join(map(chr, range(33))) + '\x7f\xa0\u200b\ufeff"“”'
    return cell[:1] in ('\t', '\r', '\n') or cell.lstrip(blanks)[:1] in tuple('=+-@＝＋－＠')


@pytest.mark.parametrize('text', FORMULAS)
def test_no_cell_begins_as_a_formula(text):
    cell = csv_files.escaped(text)
    assert cell[0] == "'" and not runs(cell)
    assert csv_files.unescaped(cell) == text


@pytest.mark.parametrize('text', PLAIN + NUMBERS)
def test_plain_texts_and_numbers_are_left_alone(text):
    assert csv_files.escaped(text) == csv_files.unescaped(text) == text


@pytest.mark.parametrize('separator', [';', '\t', '\n', '\r\n'])
def test_nothing_runs_where_another_character_separates_cells(separator):
    text = f'happy{separator} "=cmd|x!A0{separator}fear{separator}-a{separator}{separator}x'
    cell = csv_files.escaped(text)
    assert not any(runs(part) for part in cell.split(separator[-1]) if part.strip())
    assert csv_files.unescaped(cell) == text
    assert csv_files.escaped('one\n\ntwo;\tthree') == 'one\n\ntwo;\tthree'


ALPHABET = st.sampled_from('=+-@\'"\t\r\n ;,a1.＝\u00a0\x00é')
TEXTS = st.text(ALPHABET, max_size=12) | st.text(max_size=12).filter(
    lambda text: text.encode(errors='replace').decode() == text
)


@given(TEXTS)
def test_every_text_comes_back_and_twice_escaped_too(text):
    once = csv_files.escaped(text)
    twice = csv_files.escaped(once)
    assert csv_files.unescaped(once) == text
    assert csv_files.unescaped(twice) == once


@settings(max_examples=40)
@given(columns=st.lists(TEXTS, min_size=2, max_size=4, unique=True), data=st.data())
def test_a_table_reads_as_it_was_given(tmp_path_factory, columns, data):
    row = st.tuples(*(TEXTS for _ in columns))
    rows = data.draw(st.lists(row, max_size=4))
    path = tmp_path_factory.mktemp('csv') / 'table.csv'
    csv_files.write(path, columns, rows)
    assert csv_files.read(path) == [dict(zip(columns, row, strict=True)) for row in rows]
    with path.open(newline='', encoding='utf-8') as file:  # as any other program reads it
        cells = [cell for line in csv.reader(file, strict=True) for cell in line]
    numbers = csv_files._NUMBERS
    assert not any(runs(cell) for cell in cells if not numbers.fullmatch(cell))


def test_numbers_are_written_as_numbers(tmp_path):
    path = tmp_path / 'a.csv'
    row = [-0.5, -3, np.float64(-0.25), np.int64(-7), np.float32(-0.5), None, True, '-0.5']
    csv_files.write(path, 'abcdefgh', [row])
    assert path.read_bytes() == b'a,b,c,d,e,f,g,h\r\n-0.5,-3,-0.25,-7,-0.5,,True,-0.5\r\n'


def test_other_values_are_escaped_as_the_text_they_become(tmp_path):
    path = tmp_path / 'a.csv'
    csv_files.write(path, ['=a', 'b'], [[Path('=x'), ['-']]])
    assert path.read_text() == "'=a,b\n'=x,['-']\n"
    assert csv_files.read(path) == [{'=a': '=x', 'b': "['-']"}]


def test_long_texts_take_time_in_proportion(tmp_path):
    for part in ('\t', '\n', "'", ';', ' ', '\n ', '=', '\t\'"', '1 '):
        text = part * (100_000 // len(part))
        start = time.process_time()
        assert csv_files.unescaped(csv_files.escaped(text)) == text
        assert time.process_time() - start < 2
    csv_files.write(tmp_path / 'a.csv', ['a', 'b'], [['=' * 100_000, "'"]])
    assert csv_files.read(tmp_path / 'a.csv') == [{'a': '=' * 100_000, 'b': "'"}]


@pytest.mark.parametrize(
    ('content', 'fault'),
    [
        (b'', 'no table'),
        (b'a,b\r\n"1', 'no table'),
        (b'a,b\r\n1\r\n', 'row 1 has 1 cells, the header 2'),
        (b'\xff\xfe', 'no table'),
    ],
)
def test_what_is_no_table_is_said(tmp_path, content, fault):
    path = tmp_path / 'a.csv'
    with pytest.raises(UserError, match='no such file'):
        csv_files.read(path)
    path.write_bytes(content)
    with pytest.raises(UserError, match=fault):
        csv_files.read(path)
    assert csv.field_size_limit() == 131072


def test_there_is_no_other_writer():
    for package in ('emola_jax', 'input_pipeline', 'configs', 'benchmarks'):
        for path in (ROOT / package).rglob('*.py'):
            is_ours = path.name == 'csv_files.py'
            text = path.read_text(encoding='utf-8')
            assert is_ours == bool(re.search(r'\bcsv\.(?:DictW|w)riter\b', text)), path


def test_names_and_instructions_of_strangers_run_in_no_table(tmp_path):
    failures, audited = tmp_path / 'failures.csv', tmp_path / 'audit.csv'
    write_failures(failures, [(Path('=1+1.jpg'), '@no face found')])
    item = Item(Path('+x.jpg'), Path('-x.npy'))
    write_csv(audited, [Finding(item, 'missing')])
    entry = Entry('train', 'emotion', '=HYPERLINK("x")', '-1 is it', None, None, 'a.jpg', False)
    statistics.write([entry], tmp_path / 'sheets', title='t', dataset='')
    assert "'=1+1.jpg,'@no" in failures.read_text() and "'+x.jpg,'-x.npy" in audited.read_text()
    assert csv_files.read(failures) == [{'image': '=1+1.jpg', 'reason': '@no face found'}]
    assert csv_files.read(audited)[0]['landmarks'] == '-x.npy'
    rows = csv_files.read(tmp_path / 'sheets' / 'instructions.csv')
    assert [row['instruction'] for row in rows] == ['=HYPERLINK("x")']
    assert '"\'=HYPERLINK' in (tmp_path / 'sheets' / 'instructions.csv').read_text()
