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
