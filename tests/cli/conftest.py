"""The fixtures of the rooms whose commands are tested here."""

from tests.compile.conftest import environment_of_its_own
from tests.experts.conftest import finder, params
from tests.predict.conftest import run

__all__ = ['environment_of_its_own', 'finder', 'params', 'run']
