import pytest

from emola_jax.errors import UserError
from emola_jax.files import paths
from tests.input_pipeline.datasets import trees

JUNK = ('.DS_Store', '._a.csv', '.hidden/b.csv', '~$a.csv', 'README.csv', 'readme.csv', 'Thumbs.db')


def test_only_visible_files_of_the_kind_are_listed(tmp_path):
    for name in (*JUNK, 'a.csv', 'B.CSV', 'c.txt', 'd.csv/e', '__MACOSX/a.csv'):
        trees.put(tmp_path / name, 'x')
    assert [path.name for path in paths.files(tmp_path, '.csv')] == ['B.CSV', 'a.csv']
    assert [path.name for path in paths.folders(tmp_path)] == ['d.csv']
    assert paths.files(tmp_path / 'none', '.csv') == []


@pytest.mark.parametrize(
    'name', ['in/é.jpg', 'in\\é.jpg', 'IN/É.JPG', 'in/e\u0301.jpg', './in/é.jpg', '{root}/in/é.jpg']
)
def test_one_file_is_meant(tmp_path, name):
    picture = trees.put(tmp_path / 'in/é.jpg', 'x')
    found = paths.Finder(tmp_path).path(name.format(root=tmp_path))
    assert found.samefile(picture)


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('.', 'a folder'),
        ('..', 'a folder'),
        ('a\0.jpg', 'expected the name of a file'),
        ('https://host/a.jpg', 'a URL'),
        ('C:\\photos\\a.jpg', 'a path of Windows'),
        ('x' * 300 + '.jpg', 'cannot be a file'),
    ],
)
def test_what_can_be_no_file_is_a_sentence(tmp_path, name, told):
    with pytest.raises(UserError, match=told):
        paths.Finder(tmp_path).path(name)
