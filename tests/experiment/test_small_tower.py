import numpy as np

from emola_jax.experiment.small_tower import tensors_sha256

ONE = {('a', 'kernel'): np.ones((2, 3), np.float32), ('b',): np.zeros(3, np.float32)}


def test_the_hash_of_a_tower_is_that_of_its_tensors_in_any_order():
    turned = dict(reversed(ONE.items()))
    assert tensors_sha256(turned) == tensors_sha256(ONE)


def test_a_value_a_shape_a_type_or_a_name_makes_another_hash():
    others = [
        ONE | {('b',): np.asarray([0, 0, 1], np.float32)},
        ONE | {('a', 'kernel'): np.ones((3, 2), np.float32)},
        ONE | {('b',): np.zeros(3, np.int32)},
        {('a', 'kernel'): ONE['a', 'kernel'], ('c',): ONE['b',]},
    ]
    assert len({tensors_sha256(tower) for tower in [ONE, *others]}) == 5
