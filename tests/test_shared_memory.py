"""Virtual devices of a CPU that hold the same weights hold them once."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from emola_jax.parallel import sharding
from emola_jax.weights import lazy

MESH = sharding.make_mesh({'data': -1})
WHOLE = NamedSharding(MESH, PartitionSpec())
VALUES = np.arange(4 * 32 * 64, dtype=np.float32).reshape(4, 32, 64)


def memory(array):
    return {shard.data.unsafe_buffer_pointer() for shard in array.addressable_shards}


def test_placed_weights_lie_in_memory_once():
    placed = lazy.place(VALUES, np.float32, WHOLE)
    assert len(jax.devices()) == 8
    assert len(memory(placed)) == 1
    np.testing.assert_array_equal(placed, VALUES)
    assert memory(placed) != {VALUES.ctypes.data}  # whoever gave them may go on writing there


def test_split_weights_are_views_of_the_whole():
    placed = lazy.place(VALUES, np.float32, WHOLE)
    (start,) = memory(placed)
    for number, part in enumerate(sharding.split_first_axis(placed)):
        assert memory(part) == {start + number * VALUES[0].nbytes}
        assert part.sharding.is_equivalent_to(WHOLE, 2)
        np.testing.assert_array_equal(part, VALUES[number])


def test_copies_become_one():
    computed = jax.jit(lambda x: x + 1, out_shardings=WHOLE)(lazy.place(VALUES, np.float32, WHOLE))
    assert len(memory(computed)) == 8
    shared = sharding.one_copy({'a': computed})['a']
    assert len(memory(shared)) == 1
    np.testing.assert_array_equal(shared, VALUES + 1)


def test_donating_shared_memory_leaves_it_alone():
    placed = lazy.place(VALUES, np.float32, WHOLE)
    other = sharding.one_copy(placed)
    changed = jax.jit(lambda x: -x, donate_argnums=0)(placed)
    np.testing.assert_array_equal(other, VALUES)
    np.testing.assert_array_equal(changed, -VALUES)


def test_sharded_and_single_arrays_are_left_as_they_are():
    rows = NamedSharding(MESH, PartitionSpec(None, 'data'))
    placed = lazy.place(VALUES, np.float32, rows)
    assert sharding.one_copy(placed) is placed
    parts = sharding.split_first_axis(placed)
    np.testing.assert_array_equal(np.stack(parts), VALUES)
    np.testing.assert_array_equal(sharding.split_first_axis(jnp.asarray(VALUES))[2], VALUES[2])
