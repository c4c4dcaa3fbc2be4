"""Where every array lies: one mesh, one table from logical axes to mesh axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from emola_jax.errors import UserError

MESH_AXES = ('data', 'fsdp', 'tensor')

RULES: dict[str, str | None] = {
    'embed': 'fsdp',
    'mlp': 'tensor',
    'heads': 'tensor',
    'kv_heads': 'tensor',
    'vocab': 'tensor',
    'vision_embed': 'fsdp',
    'vision_mlp': 'tensor',
    'vision_heads': 'tensor',
    'patch': None,
    'position': None,
    'prior': None,
    'expert': None,
    'rank': None,
    'norm': None,
    'layers': None,
}
"""Logical axis of a parameter -> mesh axis. A logical axis that isn't listed is an error."""

BATCH_SPEC = PartitionSpec(('data', 'fsdp'))


def make_mesh(shape: Mapping[str, int]) -> Mesh:
    """Builds the mesh over all devices; one axis may be -1 and takes what is left.

    Raises:
      UserError: the axes don't multiply to the number of devices.
    """
    sizes = [int(shape.get(axis, 1)) for axis in MESH_AXES]
    devices = jax.device_count()
    known = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or devices % known or (-1 not in sizes and known != devices):
        raise UserError(
            f'mesh {dict(zip(MESH_AXES, sizes, strict=True))} does not fit {devices} devices: the '
            'axes must multiply to that number, and at most one may be -1'
        )
    sizes = [devices // known if size == -1 else size for size in sizes]
    return jax.make_mesh(tuple(sizes), MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES))


def param_shardings(abstract_boxed: Any, mesh: Mesh) -> Any:
    """Shardings of a parameter tree that still carries its logical axis names.

    Args:
      abstract_boxed: what `jax.eval_shape(model.init, …)['params']` returns, boxes included.
      mesh: the mesh.

    Raises:
      UserError: names every parameter that has a logical axis without a rule, no axis names at all,
        or a dimension that its mesh axis doesn't divide.
    """
    faults: list[str] = []

    def place(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        name = jax.tree_util.keystr(path)
        if not isinstance(leaf, nn.LogicallyPartitioned):
            faults.append(f'{name}: has no logical axes')
            return NamedSharding(mesh, PartitionSpec())
        axes = []
        for logical, size in zip(leaf.names, leaf.value.shape, strict=True):
            if logical is not None and logical not in RULES:
                faults.append(f"{name}: no rule for logical axis '{logical}'")
            axis = RULES.get(logical) if logical is not None else None
            if axis is not None and size % mesh.shape[axis]:
                faults.append(
                    f"{name}: dimension '{logical}' of {size} is not divisible by the "
                    f"{mesh.shape[axis]} devices of mesh axis '{axis}'"
                )
            axes.append(axis)
        return NamedSharding(mesh, PartitionSpec(*axes))

    shardings = jax.tree_util.tree_map_with_path(
        place, abstract_boxed, is_leaf=lambda leaf: isinstance(leaf, nn.LogicallyPartitioned)
    )
    if faults:
        raise UserError('parameters that cannot be placed on the mesh:\n  ' + '\n  '.join(faults))
    return shardings


def shard_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Puts this host's rows of a batch on the mesh; the result is the global batch."""
    sharding = NamedSharding(mesh, BATCH_SPEC)
    return {
        key: jax.make_array_from_process_local_data(sharding, value) for key, value in batch.items()
    }


def unbox(tree: Any) -> Any:
    """The same tree without the boxes that carry logical axis names."""
    return nn.unbox(tree)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())
