import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets import tables


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('separator', [',', ';', '\t'])
def test_any_encoding_line_end_and_separator(tmp_path, encoding, end, separator):
    path = tmp_path / 'table.csv'
    text = end.join(
        ['', separator.join(['File', 'Who']), '', separator.join(["'é.jpg'", 'a b']), '']
    )
    path.write_bytes(text.encode(encoding))
    assert tables.records(path, ['file']) == [(4, {'file': 'é.jpg', 'who': 'a b'})]


def test_a_row_that_does_not_fit_comes_without_cells(tmp_path):
    path = tmp_path / 'table.csv'
    path.write_text('a,b\n1\n1,2,3\n1,2,,\n')
    assert tables.records(path, []) == [(2, {}), (3, {}), (4, {'a': '1', 'b': '2'})]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'expected a table with a header'),
        (b'a,b\n1,2', r'lacks the column\(s\) c; it has a, b'),
        (b'c,C\n1,2', 'has c more than once'),
        (b'\xff\xd8\xff', 'expected UTF-8 text, byte 0 is none'),
        (b'c\n"1', 'no row of a table'),
    ],
)
def test_what_is_no_table(tmp_path, content, message):
    path = tmp_path / 'table.csv'
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        tables.records(path, ['c'])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r'none\.csv: cannot be read \(No such file'):
        tables.read_text(tmp_path / 'none.csv')
