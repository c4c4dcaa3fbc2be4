import os
from unittest import mock

import pytest


@pytest.fixture(autouse=True)
def environment_of_its_own():
    """Compiling for a TPU tells libtpu in the environment of a chip that isn't there."""
    with mock.patch.dict(os.environ):
        yield
