"""Where every array lies: one mesh, one table from logical axes to mesh axes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar, cast

import flax.linen as nn
import jax
import numpy as np
from flax.linen.initializers import Initializer
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array

from emola_jax.errors import UserError
from emola_jax.weights.trees import KeyPath, Tree

T = TypeVar('T')

MESH_AXES = ('data', 'fsdp', 'tensor')

Axes = str | tuple[str, ...] | None

RULES: dict[str, Axes] = {
    # parameters
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
    # The long axis of a LoRA factor: as its weight's, and spread over fsdp too where that isn't,
    # since a rank is too small to be shared.
    'lora_embed': 'fsdp',
    'lora_heads': ('tensor', 'fsdp'),
    'lora_kv_heads': ('tensor', 'fsdp'),
    'lora_mlp': ('tensor', 'fsdp'),
    'norm': None,
    'layers': None,
    # activations; heads, mlp and vocab lie as above
    'batch': ('data', 'fsdp'),
    'length': None,
    'width': None,
}
"""Logical axis of a parameter or an activation -> mesh axes; one that isn't listed is an error."""

BATCH_SPEC = PartitionSpec(RULES['batch'])


def make_mesh(shape: Mapping[str, int], devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Builds the mesh over all devices.

    Args:
      shape: devices along 'data', 'fsdp' and 'tensor' within a slice; one of them may be -1 and
        takes what is left. 'dcn_data' (1 if absent) is how many slices share the batch: each holds
        the whole model, and only gradients cross the slower network between them.
      devices: all that there are if None.

    Raises:
      UserError: an unknown axis, axes that don't multiply to the number of devices, or slices
        other in number than 'dcn_data'.
    """
    unknown = sorted(set(shape) - {*MESH_AXES, 'dcn_data'})
    if unknown:
        raise UserError(f'mesh: unknown axes {unknown}; expected {(*MESH_AXES, "dcn_data")}')
    devices = jax.devices() if devices is None else devices
    slices, count = int(shape.get('dcn_data', 1)), len(devices)
    sizes = [int(shape.get(axis, 1)) for axis in MESH_AXES]
    known = slices * math.prod(size for size in sizes if size != -1)
    open_axes = sizes.count(-1)
    if known < 1 or open_axes > 1 or count % known or (not open_axes and known != count):
        axes = dict(zip(('dcn_data', *MESH_AXES), (slices, *sizes), strict=True))
        raise UserError(
            f'mesh {axes} does not fit {count} devices: the axes must multiply to that number, and '
            "at most one of 'data', 'fsdp' and 'tensor' may be -1"
        )
    sizes = [count // known if size == -1 else size for size in sizes]
    found = len({_granule(device) for device in devices})
    if found != slices and (slices > 1 or devices[0].platform == 'tpu'):
        raise UserError(
            f'mesh.dcn_data is {slices}, but the devices lie in {found} slices (or processes)'
        )
    if slices == 1:
        # An axis of the mesh may take a part of an axis of the torus: 64 x 4 chips out of 16 x 16.
        grid = mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    else:
        grid = mesh_utils.create_hybrid_device_mesh(
            sizes,
            [slices, 1, 1],
            devices,
            process_is_granule=not hasattr(devices[0], 'slice_index'),
            allow_split_physical_axes=True,
        )
    return Mesh(grid, MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES))


def local_mesh() -> Mesh:
    """This host's own devices, all on the axis 'data'."""
    return make_mesh({'data': -1}, jax.local_devices())


def _granule(device: jax.Device) -> int:
    """What the fast network joins: a slice; a process where devices know of none."""
    alone = 0 if device.platform == 'tpu' else device.process_index
    return int(getattr(device, 'slice_index', alone))


def _indivisible(logical: str | None, size: int, axes: Axes, mesh: Mapping[str, int]) -> str:
    """What is wrong with a dimension of `size` on `axes`; empty if nothing is."""
    names = () if axes is None else (axes,) if isinstance(axes, str) else axes
    parts = math.prod(mesh[name] for name in names)
    if size % parts == 0:
        return ''
    return (
        f"dimension '{logical}' of {size} is not divisible by the {parts} devices of mesh axis "
        f"'{' x '.join(names)}'"
    )


def constrain(x: jax.Array, *logical: str | None) -> jax.Array:
    """Tells the compiler how an activation lies; without a mesh in scope it changes nothing.

    Args:
      x: an activation, inside a compiled function that is called under `jax.set_mesh`.
      *logical: one logical axis of `RULES` (or None) for each dimension.

    Raises:
      UserError: a mesh axis doesn't divide its dimension; names it.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return x
    axes = [None if name is None else RULES[name] for name in logical]
    for name, size, axis in zip(logical, x.shape, axes, strict=True):
        fault = _indivisible(name, size, axis, mesh.shape)
        if fault:
            raise UserError(f'activations of shape {x.shape}: {fault}')
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*axes))


def param_shardings(abstract_boxed: Tree, mesh: Mesh) -> Tree:
    """Shardings of a parameter tree that still carries its logical axis names.

    Args:
      abstract_boxed: what `jax.eval_shape(model.init, …)['params']` returns, boxes included.
      mesh: the mesh.

    Raises:
      UserError: names every parameter that has a logical axis without a rule, no axis names at all,
        or a dimension that its mesh axis doesn't divide.
    """
    faults: list[str] = []

    def place(path: KeyPath, leaf: object) -> NamedSharding:
        name = jax.tree_util.keystr(path)
        if not isinstance(leaf, nn.LogicallyPartitioned):
            faults.append(f'{name}: has no logical axes')
            return NamedSharding(mesh, PartitionSpec())
        axes = []
        for logical, size in zip(leaf.names, leaf.value.shape, strict=True):
            if logical is not None and logical not in RULES:
                faults.append(f"{name}: no rule for logical axis '{logical}'")
            axes.append(RULES.get(logical) if logical is not None else None)
            fault = _indivisible(logical, size, axes[-1], mesh.shape)
            if fault:
                faults.append(f'{name}: {fault}')
        return NamedSharding(mesh, PartitionSpec(*axes))

    shardings = jax.tree_util.tree_map_with_path(
        place, abstract_boxed, is_leaf=lambda leaf: isinstance(leaf, nn.LogicallyPartitioned)
    )
    if faults:
        raise UserError('parameters that cannot be placed on the mesh:\n  ' + '\n  '.join(faults))
    return shardings


def shard_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Puts this host's rows of a batch on the mesh; the result is the global batch.

    Raises:
      UserError: the devices cannot share the rows evenly.
    """
    sharding = NamedSharding(mesh, BATCH_SPEC)
    for rows in {len(value) * jax.process_count() for value in batch.values()}:
        fault = _indivisible('batch', rows, RULES['batch'], mesh.shape)
        if fault:
            raise UserError(f'a batch of {rows} rows: {fault}')
    return {
        key: jax.make_array_from_process_local_data(sharding, value) for key, value in batch.items()
    }


def mesh_of(tree: object) -> AbstractContextManager[object]:
    """The scope of the mesh on which the arrays of a tree lie; of none if they aren't on ours."""
    for leaf in jax.tree.leaves(tree):
        mesh = getattr(getattr(leaf, 'sharding', None), 'mesh', None)
        if mesh is not None and mesh.axis_names == MESH_AXES:
            return jax.set_mesh(mesh)
    return contextlib.nullcontext()


def one_copy(tree: T) -> T:
    """The same arrays; virtual devices of a CPU that hold one each from now on share one."""
    return jax.tree.map(
        lambda x: jax.device_put(_shared(x), x.sharding) if _is_shared(x) else x, tree
    )


def split_first_axis(
    x: jax.Array | jax.ShapeDtypeStruct,
) -> list[jax.Array] | list[jax.ShapeDtypeStruct]:
    """x[0], x[1], …; views of one copy where virtual devices of a CPU hold x whole.

    Of a `jax.ShapeDtypeStruct` on a mesh, those that stand for them.
    """
    if not isinstance(x, jax.ShapeDtypeStruct) and not _is_shared(x):
        return [x[index] for index in range(x.shape[0])]
    whole = x.sharding
    assert isinstance(whole, NamedSharding)
    where = NamedSharding(whole.mesh, PartitionSpec(*whole.spec[1:]))
    if isinstance(x, jax.ShapeDtypeStruct):
        return [jax.ShapeDtypeStruct(x.shape[1:], x.dtype, sharding=where)] * x.shape[0]
    return [jax.device_put(part, where) for part in _shared(x)]


def _is_shared(x: object) -> bool:
    if not isinstance(x, jax.Array) or isinstance(x, jax.core.Tracer):
        return False
    devices: set[jax.Device] = x.sharding.device_set
    return (
        isinstance(x.sharding, NamedSharding)
        and x.is_fully_replicated
        and x.is_fully_addressable
        and all(device.platform == 'cpu' for device in devices)
    )


def _shared(x: jax.Array) -> np.ndarray:
    """The memory of the first device; aligned, so that others take it over as it is."""
    return np.asarray(x.addressable_data(0))


def platform() -> str:
    """What the program that is being traced will run on: 'cpu', 'gpu', 'tpu'.

    The mesh in scope says so, which may be of devices that aren't at hand; without one it is JAX's
    default.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else str(device.platform)


def batch_devices(mesh: Mesh) -> int:
    """Devices that share a batch: its rows must be a multiple of them."""
    return mesh.shape['data'] * mesh.shape['fsdp']


@dataclasses.dataclass(frozen=True)
class HostRows:
    """The rows of a batch on this host.

    Attributes:
      rows: of the whole batch, over all hosts.
      held: those on devices of this host; it has to make them.
      owned: those of `held` that no host of a lower number holds as well: every row has one owner.
    """

    rows: int
    held: tuple[int, ...]
    owned: tuple[int, ...]


def host_rows(rows: int, mesh: Mesh) -> HostRows:
    """Which rows of a batch of `rows` this host makes and owns."""
    owner: dict[int, int] = {}
    held: set[int] = set()
    host = jax.process_index()
    places = NamedSharding(mesh, BATCH_SPEC).devices_indices_map((rows,))
    device: jax.Device
    for device, index in places.items():
        for row in range(*index[0].indices(rows)):
            owner[row] = min(owner.get(row, device.process_index), device.process_index)
            if device.process_index == host:
                held.add(row)
    owned = tuple(row for row in sorted(held) if owner[row] == host)
    return HostRows(rows, tuple(sorted(held)), owned)


def place_rows(batch: Mapping[str, np.ndarray], own: HostRows, mesh: Mesh) -> dict[str, jax.Array]:
    """The global batch, of which this host brings the rows `own.held`, in that order."""
    sharding = NamedSharding(mesh, BATCH_SPEC)
    place = {row: position for position, row in enumerate(own.held)}

    def put(local: np.ndarray) -> jax.Array:
        def read(index: tuple[slice, ...] | None) -> np.ndarray:
            assert index is not None  # it is for shardings that are opaque
            return local[[place[row] for row in range(*index[0].indices(own.rows))]]

        return jax.make_array_from_callback((own.rows, *local.shape[1:]), sharding, read)

    return {name: put(local) for name, local in batch.items()}


def fetch_rows(array: jax.Array, mesh: Mesh) -> dict[int, np.ndarray]:
    """The rows of a batch-shaped array that this host's devices hold, by their number."""
    spread = jax.jit(lambda rows: rows, out_shardings=NamedSharding(mesh, BATCH_SPEC))(array)
    found: dict[int, np.ndarray] = {}
    for shard in spread.addressable_shards:
        rows = range(*shard.index[0].indices(array.shape[0]))
        found.update(zip(rows, np.asarray(shard.data), strict=True))
    return found


def unbox(tree: Tree) -> Tree:
    """The same tree without the boxes that carry logical axis names."""
    return nn.unbox(tree)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def logical_param(
    module: nn.Module,
    name: str,
    init: Initializer,
    axes: tuple[str | None, ...],
    shape: tuple[int, ...],
    dtype: DTypeLike,
) -> Array:
    """Declares a parameter whose axes have the given logical names."""
    return cast(Array, module.param(name, nn.with_logical_partitioning(init, axes), shape, dtype))
