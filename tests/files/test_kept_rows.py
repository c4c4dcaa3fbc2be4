"""Work that is killed and started again."""

import json

import pytest

from emola_jax.files.kept_rows import KeptRows


class Killed(Exception):
    """What a kill is here."""


def squares_until(limit, seen):
    def work(items):
        if len(seen) >= limit:
            raise Killed
        seen.extend(items)
        return [item**2 for item in items]

    return work


@pytest.fixture
def kept(tmp_path):
    return KeptRows(tmp_path / 'rows', {'step': 3})


def test_a_second_start_does_only_what_is_left(kept):
    first, second = [], []
    with pytest.raises(Killed):
        kept.map('squares', range(7), 2, squares_until(4, first))
    assert kept.map('squares', range(7), 2, squares_until(99, second)) == [n**2 for n in range(7)]
    assert (first, second) == ([0, 1, 2, 3], [4, 5, 6])


def test_a_torn_line_is_done_again(kept):
    kept.map('squares', range(4), 2, squares_until(99, []))
    path = kept.folder / 'squares.jsonl'
    path.write_bytes(path.read_bytes()[:-3])
    again = []
    assert kept.map('squares', range(4), 2, squares_until(99, again)) == [0, 1, 4, 9]
    assert again == [3]


def test_a_row_of_which_a_digit_changed_is_not_used(kept):
    kept.map('squares', range(4), 2, squares_until(99, []))
    path = kept.folder / 'squares.jsonl'
    path.write_text(path.read_text().replace('"row": 4,', '"row": 5,'))
    again = []
    assert kept.map('squares', range(4), 2, squares_until(99, again)) == [0, 1, 4, 9]
    assert again == [0, 1, 2, 3]


@pytest.mark.parametrize('change', ['identity', 'items', 'stage'])
def test_rows_of_other_work_are_not_used(kept, change):
    kept.map('squares', range(4), 2, squares_until(99, []))
    other = KeptRows(kept.folder, {'step': 4}) if change == 'identity' else kept
    stage = 'others' if change == 'stage' else 'squares'
    items = range(5 if change == 'items' else 4)
    again = []
    other.map(stage, items, 2, squares_until(99, again))
    assert again == list(items)


def test_removed_rows_are_gone(kept):
    kept.map('squares', range(2), 2, squares_until(99, []))
    header = json.loads((kept.folder / 'squares.jsonl').read_text().splitlines()[0])
    assert header == {'step': 3, 'stage': 'squares', 'items': 2}
    kept.remove()
    assert not kept.folder.exists()
