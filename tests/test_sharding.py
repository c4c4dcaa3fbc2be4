import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from emola_jax import sharding
from emola_jax.errors import UserError


def boxed(names, shape):
    return nn.LogicallyPartitioned(jax.ShapeDtypeStruct(shape, np.float32), names)


def test_minus_one_takes_what_is_left():
    mesh = sharding.make_mesh({'data': -1, 'fsdp': 2, 'tensor': 2})
    assert dict(mesh.shape) == {'data': 2, 'fsdp': 2, 'tensor': 2}


@pytest.mark.parametrize('shape', [{'data': 3}, {'data': -1, 'fsdp': -1}, {'data': 4}])
def test_a_mesh_that_does_not_fit_the_devices_is_refused(shape):
    with pytest.raises(UserError, match='does not fit 8 devices'):
        sharding.make_mesh(shape)


def test_a_parameter_lies_where_the_table_says():
    mesh = sharding.make_mesh({'data': 1, 'fsdp': 4, 'tensor': 2})
    tree = {'q': boxed(('layers', 'embed', 'heads'), (3, 8, 4))}
    assert sharding.param_shardings(tree, mesh)['q'].spec == PartitionSpec(None, 'fsdp', 'tensor')


def test_every_parameter_at_fault_is_named():
    mesh = sharding.make_mesh({'data': 1, 'fsdp': 4, 'tensor': 2})
    tree = {
        'odd': boxed(('embed',), (6,)),
        'unknown': boxed(('colour',), (8,)),
        'bare': jax.ShapeDtypeStruct((8,), np.float32),
        'good': boxed(('embed', 'mlp'), (8, 8)),
    }
    with pytest.raises(UserError) as raised:
        sharding.param_shardings(tree, mesh)
    message = str(raised.value)
    assert "['odd']: dimension 'embed' of 6 is not divisible by the 4 devices" in message
    assert "['unknown']: no rule for logical axis 'colour'" in message
    assert "['bare']: has no logical axes" in message
    assert 'good' not in message


@pytest.mark.parametrize('shape', [(8, 1, 1), (2, 2, 2), (1, 1, 8)])
def test_rows_come_back_from_where_they_were_placed(shape):
    mesh = sharding.make_mesh(dict(zip(sharding.MESH_AXES, shape, strict=True)))
    own = sharding.host_rows(16, mesh)
    assert own.held == own.owned == tuple(range(16))
    rows = np.arange(48).reshape(16, 3)
    placed = sharding.place_rows({'x': rows}, own, mesh)['x']
    assert placed.sharding.spec == sharding.BATCH_SPEC
    assert placed.addressable_shards[0].data.shape[0] == 16 // sharding.batch_devices(mesh)
    found = sharding.fetch_rows(jax.device_put(placed, sharding.replicated(mesh)), mesh)
    assert sorted(found) == list(range(16))
    for number, row in found.items():
        np.testing.assert_array_equal(row, rows[number])
