import pytest

from emola_jax.files import atomic_write, read_jsonl, write_json


def test_an_error_while_writing_leaves_the_old_file_and_no_trace(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'old': 1})
    with pytest.raises(RuntimeError), atomic_write(path) as partial:
        partial.write_text('half')
        raise RuntimeError
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    path = tmp_path / 'rows.jsonl'
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": 3')
    assert read_jsonl(path) == [{'a': 1}, {'a': 2}]
    assert read_jsonl(tmp_path / 'none.jsonl') == []
