import pytest

from emola_jax.errors import UserError
from emola_jax.metrics import readers, rege

FROZEN = {
    'strict-1': '4dafa4a41a0a',
    'strict-2': 'ea731ea8dff1',
}
"""Published scores name a reader by these. A reader that reads anything differently is a new
version with a line of its own here; the lines that stand are not changed."""


def test_the_versions_of_the_reader_are_frozen():
    assert {name: readers.named(name).hash for name in readers.NAMES} == FROZEN


def test_a_hash_tells_code_and_tables_apart(tmp_path, monkeypatch):
    (tmp_path / 'words.toml').write_text('a = 1')
    monkeypatch.setattr(readers, '_HERE', tmp_path)

    def digest():
        return readers.Reader('x', frozenset, len, ('words.toml',)).hash

    first = digest()
    assert digest() == first
    (tmp_path / 'words.toml').write_text('a = 2')
    assert digest() != first


def test_old_answers_are_scored_by_either_reader():
    checklist = 'AU1 (Inner Brow Raiser): No\nAU4 (Brow Lowerer): Yes'
    samples = [rege.Sample('0', checklist, 'AU4.', '4')]
    first = rege.score(samples, 'au', (1, 4), replicates=0, reader='strict-1')
    latest = rege.score(samples, 'au', (1, 4), replicates=0)
    assert (first.strict.reader, latest.strict.reader) == ('strict-1', 'strict-2')
    assert latest.strict.per_au['4'] == 100.0
    assert first.strict.per_au['4'] == 0.0
    assert first.reference == latest.reference


def test_an_unknown_reader_is_named():
    with pytest.raises(UserError, match="reader 'strict-9': expected one of strict-1, strict-2"):
        readers.named('strict-9')
