import pytest

from tests.predict.runs import write_run


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp('run'))
