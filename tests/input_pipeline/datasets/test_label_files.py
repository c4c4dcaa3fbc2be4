import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.errors import UserError
from emola_jax.files.texts import read_text
from input_pipeline.datasets import label_files


@pytest.fixture
def put(tmp_path):
    def put(content):
        path = tmp_path / 'table.csv'
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def records(path, needed=()):
    """Line, cells and fault of each row."""
    return [(row.line, row.cells, row.fault) for row in label_files.table(path, needed).records]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-32'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('separator', [',', ';', '\t'])
def test_any_encoding_line_end_and_separator(put, encoding, end, separator):
    text = end.join(['', separator.join(['File', 'Who']), '', separator.join(['é.jpg', 'a b']), ''])
    path = put(text.encode(encoding))
    assert records(path, ['file']) == [(4, {'file': 'é.jpg', 'who': 'a b'}, '')]


def test_line_breaks_in_quotes_are_kept_and_counted(put):
    path = put('file,text\na.jpg,"1. AU4\n2. AU9"\nb.jpg,"one\r\n\r\nthree"\nc.jpg,x\n')
    assert records(path) == [
        (2, {'file': 'a.jpg', 'text': '1. AU4\n2. AU9'}, ''),
        (4, {'file': 'b.jpg', 'text': 'one\n\nthree'}, ''),
        (7, {'file': 'c.jpg', 'text': 'x'}, ''),
    ]


@pytest.mark.parametrize(
    'text', ["The boys'", "'tis so", "''", 'two ""quotes""', '5 "foot" tall', 'a\u2028b', 'x\x0by']
)
def test_texts_are_kept(put, text):
    quoted = f'"{text}"' if '""' in text else text
    [(_, cells, fault)] = records(put(f'file,text\na.jpg,{quoted}\n'))
    assert (cells['text'], fault) == (text.replace('""', '"'), '')


@pytest.mark.parametrize(
    ('hint', 'separator'), [('sep=;', ';'), ('"sep=,"', ','), ('SEP=\t', '\t'), ('sep=|', '|')]
)
def test_excels_line_about_its_separator(put, hint, separator):
    row = [(3, {'file': 'a.jpg', 'aus': '4'}, '')]
    hint = hint.replace('SEP', 'sep')
    path = put(f'{hint}\r\nfile{separator}aus\r\na.jpg{separator}4\r\n')
    assert records(path) == row


def test_separators_in_a_quoted_header_do_not_count(put):
    path = put('"file, below; the; root";aus\na.jpg;4\n')
    assert label_files.table(path).columns == ['file, below; the; root', 'aus']


def test_a_row_that_does_not_fit_says_how(put):
    found = records(put('a,b,c\n1,2\n1,2,3,4\n1,2,3,,\n'))
    assert [line for line, _, _ in found] == [2, 3, 4]
    assert found[0][2].startswith('has 2 cells and the header 3')
    assert found[1][2].startswith('has 4 cells and the header 3')
    assert found[2][1:] == ({'a': '1', 'b': '2', 'c': '3'}, '')
    assert all(not cells for _, cells, fault in found if fault)


def test_a_space_before_a_quote_is_said(put):
    [short, long] = records(put('a,b,c\n1, "x",3\n1, "x, y",3\n'))
    assert 'a space stands between' in short[2]
    assert long[2].startswith('has 4 cells and the header 3: a space stands between')


def test_text_after_a_closing_quote_is_one_bad_row(put):
    wrong, right = records(put('a,b\n"1" x,2\n3,4\n'))
    assert 'text after a closing quote' in wrong[2]
    assert right == (3, {'a': '3', 'b': '4'}, '')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'expected a table with a header'),
        (b'\n \n', 'expected a table with a header'),
        (b'c,d\n', 'expected rows below the header'),
        (b'a,b\n1,2', r'lacks the column\(s\) c; it has a, b'),
        (b'c,C\n1,2', 'has c more than once'),
        (b'\xff\xd8\xff', 'expected UTF-8 text, byte 0 is none'),
        (b'c,d\n1,2\n"1,2\n3,4\n', r'line 3: .*a quote opens there that never ends'),
        ('c\nJosé\n'.encode('cp1252'), r"line 2\).*cp1252\) it would be 'José'"),
        ('c\n1\n'.encode('utf-16-le'), 'NUL bytes'),
        (b'\xff\xfec', 'expected UTF-16 text'),
        (b'PK\x03\x04..', 'an Excel workbook'),
        (b'\x1f\x8b..', 'compressed by gzip'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git lfs pull'),
    ],
)
def test_what_is_no_table(put, content, message):
    with pytest.raises(UserError, match=message):
        label_files.table(put(content), ['c'])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r'none\.csv: no such file'):
        read_text(tmp_path / 'none.csv')


@pytest.mark.parametrize(
    ('text', 'number'),
    [('12', 12), ('012', 12), ('12.0', 12), ('-1', None), ('1.5', None), ('²', None), ('', None)],
)
def test_whole_numbers_as_spreadsheets_write_them(text, number):
    assert label_files.whole_number(text) == number


_CELL = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0\r'), max_size=8)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([('first', 'second'), *rows, ('x', 'y')])
    path = tmp_path_factory.mktemp('written') / 'table.csv'
    path.write_text(file.getvalue(), encoding='utf-8', newline='')
    read = [tuple(cells.values()) for _, cells, _ in records(path)]
    stripped = [(a.strip(), b.strip()) for a, b in rows]
    assert read == [row for row in stripped if any(row)] + [('x', 'y')]


@given(st.one_of(st.binary(max_size=60), st.text('ab,;\t"\n\r \0=.', max_size=60).map(str.encode)))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_table_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp('any') / 'table.csv'
    path.write_bytes(b'sep=,\n' + content)
    try:
        found = label_files.table(path)
    except UserError as error:
        assert str(path) in str(error)
    else:
        assert all(row.fault or len(row.cells) <= len(found.columns) for row in found.records)
