import pytest

from emola_jax.experts import mesh_weights
from emola_jax.experts.finder import FaceFinder


@pytest.fixture(scope='session')
def params():
    return mesh_weights.load_params()


@pytest.fixture(scope='session')
def finder(params):
    return FaceFinder(params, batch=8)
