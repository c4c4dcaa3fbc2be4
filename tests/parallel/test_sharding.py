import functools
import tempfile
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from emola_jax.errors import UserError
from emola_jax.evaluation import evaluate
from emola_jax.files.whole import read_jsonl
from emola_jax.parallel import sharding
from tests.tiny_experiment import questions, tiny_experiment

pytestmark = pytest.mark.usefixtures('compiled_quickly')


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


class Chip:
    """What `mesh_utils` and a mesh read of a device."""

    platform = 'tpu'
    device_kind = 'TPU v5 lite'
    core_on_chip = 0

    def __init__(self, number, slice_index):
        self.id, self.slice_index = number, slice_index
        self.process_index = number // 4
        within = number % 8
        self.coords = (within % 4, within // 4, 0)


SLICES = [Chip(number, number // 8) for number in range(16)]


def test_slices_share_the_batch_and_nothing_else():
    mesh = sharding.make_mesh({'data': 1, 'fsdp': 4, 'tensor': 2, 'dcn_data': 2}, SLICES)
    assert dict(mesh.shape) == {'data': 2, 'fsdp': 4, 'tensor': 2}
    for index in range(2):
        assert {chip.slice_index for chip in mesh.devices[index].flat} == {index}


def test_minus_one_is_filled_in_within_a_slice():
    mesh = sharding.make_mesh({'data': 1, 'fsdp': -1, 'dcn_data': 2}, SLICES)
    assert dict(mesh.shape) == {'data': 2, 'fsdp': 8, 'tensor': 1}


@pytest.mark.parametrize('slices', [1, 4])
def test_other_slices_than_there_are_are_refused(slices):
    with pytest.raises(UserError, match='the devices lie in 2 slices'):
        sharding.make_mesh({'fsdp': -1, 'dcn_data': slices}, SLICES)


def test_an_axis_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"unknown axes \['model'\]"):
        sharding.make_mesh({'data': 4, 'model': 2})


def test_activations_lie_where_the_table_says():
    mesh = sharding.make_mesh({'data': 2, 'fsdp': 2, 'tensor': 2})

    @jax.jit
    def place(x):
        return sharding.constrain(x, 'batch', 'length', 'heads', None)

    x = np.zeros((4, 3, 2, 5), np.float32)
    with jax.set_mesh(mesh):
        made = place(x)
    assert made.sharding.shard_shape(x.shape) == (1, 3, 1, 5)
    assert place(x).sharding.shard_shape(x.shape) == x.shape  # no mesh in scope


def test_an_activation_that_does_not_divide_is_refused_by_name():
    mesh = sharding.make_mesh({'data': 2, 'fsdp': 2, 'tensor': 2})
    place = jax.jit(lambda x: sharding.constrain(x, 'batch', None, 'kv_heads'))
    with (
        jax.set_mesh(mesh),
        pytest.raises(UserError, match=r"'kv_heads' of 3 .* 2 devices of mesh axis 'tensor'"),
    ):
        place(np.zeros((4, 2, 3)))


def test_a_batch_that_the_devices_cannot_share_is_refused():
    mesh = sharding.make_mesh({'data': 4, 'tensor': 2})
    with pytest.raises(UserError, match=r"6 rows: .* 4 devices of mesh axis 'data x fsdp'"):
        sharding.shard_batch({'tokens': np.zeros((6, 2), np.int32)}, mesh)


@functools.cache
def texts(shape):
    """What a model of random weights answers on a mesh; None is one device."""
    mesh = (
        None
        if shape is None
        else sharding.make_mesh(dict(zip(sharding.MESH_AXES, shape, strict=True)))
    )
    with tempfile.TemporaryDirectory() as workdir:
        experiment = tiny_experiment(Path(workdir), faces=questions(8), lively=True, mesh=mesh)
        evaluate.evaluate(experiment, experiment.trainable, step=0)
        return [row['prediction'] for row in read_jsonl(Path(workdir) / 'predictions.jsonl')]


@pytest.mark.parametrize('shape', [(8, 1, 1), (1, 8, 1), (1, 1, 8), (2, 2, 2)])
def test_every_mesh_writes_the_same_answers(shape):
    assert len(texts(None)) == 8 and len(set(texts(None))) > 4  # they depend on the face
    assert texts(shape) == texts(None)


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
