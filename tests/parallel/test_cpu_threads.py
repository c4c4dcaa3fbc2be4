import threading

import jax
import numpy as np
import pytest

from emola_jax.parallel.cpu_threads import SideBySide, most_shares


@pytest.mark.parametrize(
    ('rows', 'cores', 'shares'),
    [(32, 2, 2), (32, 6, 4), (15, 2, 1), (15, 4, 3), (1, 8, 1), (4, 9, 4)],
)
def test_shares_are_equal_and_no_more_than_cores(rows, cores, shares):
    assert most_shares(rows, cores) == shares


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr('os.cpu_count', lambda: 4)


def test_rows_come_back_in_their_order(four_cores):
    """Each by itself, whatever tree it is in, on threads of their own after the first call."""
    threads = set()

    def function(params, images, places):
        threads.add(threading.get_ident())
        assert len(images) == len(places['x']) == 3
        return {'sum': params + images.sum(axis=1) + places['x'], 'first': images[:, 0]}

    shared = SideBySide(function)
    images = np.arange(24.0).reshape(12, 2)
    places = {'x': jax.numpy.arange(12.0) * 100}
    for _ in range(2):
        found = shared(0.5, images, places)
        np.testing.assert_array_equal(
            found['sum'], 0.5 + images.sum(axis=1) + np.asarray(places['x'])
        )
        np.testing.assert_array_equal(found['first'], images[:, 0])
    assert len(threads - {threading.get_ident()}) >= 1


def test_a_shape_is_compiled_once(four_cores):
    traced = []

    @jax.jit
    def function(params, rows):
        traced.append(rows.shape)
        return rows * params

    shared = SideBySide(function)
    for rows in (8, 8, 16, 16, 8):
        np.testing.assert_array_equal(shared(2.0, np.ones((rows, 5))), np.full((rows, 5), 2.0))
    assert traced == [(2, 5), (4, 5)]


def test_an_error_in_a_share_is_raised(four_cores):
    def function(params, rows):
        if rows[0] == 6:
            raise ValueError('row 6')
        return rows

    with pytest.raises(ValueError, match='row 6'):
        SideBySide(function)(None, np.arange(8))
