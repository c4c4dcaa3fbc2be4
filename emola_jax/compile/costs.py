"""What a compiled program costs one chip: operations, memory traffic, traffic between chips."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable

from emola_jax.compile.hlo import ArrayType, Computation, Instruction, Module


def _shared(size: float, chips: int) -> float:
    return size * (chips - 1) / chips


# Bytes that leave a chip, from the bytes of its operands and the chips of a group (ring algorithm).
_SENT: dict[str, Callable[[float, int], float]] = {
    'all-gather': lambda size, chips: size * (chips - 1),
    'all-reduce': lambda size, chips: 2 * _shared(size, chips),
    'reduce-scatter': _shared,
    'all-to-all': _shared,
    'ragged-all-to-all': _shared,
    'collective-permute': lambda size, chips: size,
    'collective-broadcast': lambda size, chips: size,
}
COLLECTIVES = tuple(_SENT)

# What runs no kernel of its own, or whose parts are counted where they run.
_FREE = {
    'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'while', 'conditional',
    'call', 'after-all', 'partition-id', 'replica-id', 'iota', 'opt-barrier', 'add-dependency',
}  # fmt: skip
_SLICES = ('dynamic-slice', 'gather', 'slice')


@dataclasses.dataclass(frozen=True)
class Collective:
    """One exchange between chips.

    Attributes:
      kind: one of `COLLECTIVES`.
      arrays: what it makes on one chip.
      chips: how many take part in one group.
      runs: how often it runs.
      sent: bytes that leave a chip each time, by the ring algorithm.
    """

    kind: str
    arrays: tuple[ArrayType, ...]
    chips: int
    runs: float
    sent: float


def collectives(module: Module, devices: int, dynamic_trips: int = 1) -> list[Collective]:
    """Every collective that runs, those inside of kernels too.

    Args:
      module: the program.
      devices: how many run it; a collective that names no groups is among all of them.
      dynamic_trips: see `Module.runs`.
    """
    runs, inside = module.runs(dynamic_trips), module.inside_fusions()
    found: list[Collective] = []
    seen: set[str] = set()
    for name, computation in module.computations.items():
        for instruction in computation.values():
            kind = instruction.opcode.removesuffix('-start')
            if kind not in COLLECTIVES or not runs[name]:
                continue
            channel = instruction.attribute('channel_id')
            if name in inside and channel:
                # Every kernel that carries on a part of an exchange names the whole of it.
                if channel in seen:
                    continue
                seen.add(channel)
            size = sum(array.nbytes for array in _operands(instruction, computation))
            chips = _group_size(instruction, devices)
            sent = _SENT[kind](size, chips)
            found.append(Collective(kind, instruction.arrays, chips, runs[name], sent))
    return found


def _group_size(instruction: Instruction, devices: int) -> int:
    """Chips of one group; XLA writes groups as lists, as a reshaped iota or by named axes."""
    listed = re.search(r'replica_groups=\{\{([\d,]*)\}', instruction.attributes)
    if listed:
        return listed[1].count(',') + 1
    iota = re.search(r'replica_groups=\[([\d,]+)\]', instruction.attributes)
    if iota:
        return int(iota[1].split(',')[-1])
    named = re.search(
        r'replica_groups=mesh\[([^\]]*)\](?:, device_ids=\S+)? \{([^}]*)\}', instruction.attributes
    )
    if named:
        sizes = dict(axis.split('=') for axis in named[1].split(','))
        # A part of an axis is written 'name':(before)size.
        parts = (axis.partition(':') for axis in named[2].split(','))
        return math.prod(int(part.partition(')')[2] or sizes[axis]) for axis, _, part in parts)
    return devices


def flops(module: Module, dynamic_trips: int = 1) -> float:
    """Operations of all matrix products and convolutions."""
    runs = module.runs(dynamic_trips)
    return sum(
        runs[name] * _flops(instruction, computation)
        for name, computation in module.computations.items()
        if runs[name]
        for instruction in computation.values()
        if instruction.opcode in ('dot', 'convolution')
    )


def flops_of_round(module: Module, rounds: int) -> float:
    """Operations of one round of the loop that runs `rounds` times, or as often as data says.

    If several do, of the one that has most to do; 0 if none does.
    """
    bodies = [
        instruction.attribute('body').lstrip('%')
        for computation in module.computations.values()
        for instruction in computation.values()
        if instruction.opcode == 'while'
        and module.trips(instruction, computation) in (None, rounds)
    ]
    return max((flops(dataclasses.replace(module, entry=body)) for body in bodies), default=0.0)


def _flops(instruction: Instruction, computation: Computation) -> float:
    left, right = (array.dims for array in _operands(instruction, computation)[:2])
    output = instruction.arrays[0]
    if instruction.opcode == 'dot':
        summed = instruction.dims_of('lhs_contracting_dims')
        return 2.0 * output.size * math.prod(left[axis] for axis in summed)
    labels = re.split('_|->', instruction.attribute('dim_labels'))
    spatial = [label for label in labels[0] if label.isdigit()]
    pairs = 1.0
    for label in spatial:
        pairs *= _window_pairs(
            instruction.attribute('window'),
            int(label),
            inputs=left[labels[0].index(label)],
            outputs=output.dims[labels[2].index(label)],
        )
    channels = right[labels[1].index('i')]
    return 2.0 * channels * pairs * math.prod(output.dims[labels[2].index(x)] for x in 'bf')


def _window_pairs(window: str, axis: int, *, inputs: int, outputs: int) -> int:
    """How many (output, kernel) positions of one axis meet an input that is no padding."""

    def field(name: str, default: str) -> str:
        found = re.search(rf'\b{name}=([\d_x\-]+)', window)
        return found[1].split('x')[axis] if found else default

    size, stride = int(field('size', '1')), int(field('stride', '1'))
    low = int(field('pad', '0_0').split('_')[0])
    apart, spread = int(field('lhs_dilate', '1')), int(field('rhs_dilate', '1'))
    count = 0
    for kernel in range(size):
        for output in range(outputs):
            place = output * stride + kernel * spread - low
            count += place >= 0 and place % apart == 0 and place // apart < inputs
    return count


def hbm_bytes(module: Module, dynamic_trips: int = 1) -> float:
    """Bytes that kernels read from and write to main memory; a slice counts as what it takes."""
    runs, inside = module.runs(dynamic_trips), module.inside_fusions()
    return sum(
        runs[name] * _traffic(instruction, computation, module)
        for name, computation in module.computations.items()
        if runs[name] and name not in inside
        for instruction in computation.values()
    )


def _traffic(instruction: Instruction, computation: Computation, module: Module) -> float:
    if instruction.opcode in _FREE or instruction.opcode.endswith('-done'):
        return 0.0
    if instruction.opcode in _SLICES:
        return 2 * _in_hbm(instruction.arrays)
    if instruction.opcode == 'dynamic-update-slice':
        return 2 * _in_hbm(computation[instruction.operands[1]].arrays)
    reads = [_in_hbm(_arrays(name, computation)) for name in instruction.operands]
    written = _in_hbm(instruction.arrays)
    if instruction.opcode == 'fusion':
        body = module.computations[instruction.called[0]]
        reads = [
            _read_share(body, index, full, module) if full else 0.0
            for index, full in enumerate(reads)
        ]
        written = min(written, _written(body, written))
    return sum(reads) + written


def _read_share(body: Computation, index: int, full: float, module: Module) -> float:
    """What a kernel reads of its parameter: all, unless it only slices it or writes into it.

    A TPU's kernels hold kernels in turn, of which one may do the slicing.
    """
    parameter = next(
        (
            one.name
            for one in body.values()
            if one.opcode == 'parameter' and one.arguments.strip() == str(index)
        ),
        '',
    )
    total = 0.0
    for user in body.values():
        if parameter not in user.operands:
            continue
        if user.opcode in _SLICES and user.operands[0] == parameter:
            total += sum(array.nbytes for array in user.arrays)
        elif user.opcode == 'fusion':
            inner = module.computations[user.called[0]]
            total += sum(
                _read_share(inner, place, full, module)
                for place, name in enumerate(user.operands)
                if name == parameter
            )
        elif not (user.opcode == 'dynamic-update-slice' and user.operands[0] == parameter):
            return full
    return min(total, full)


def _written(body: Computation, full: float) -> float:
    root = next((one for one in body.values() if one.root), None)
    if root is None:
        return full
    parts = [body[name] for name in root.operands] if root.opcode == 'tuple' else [root]
    total = 0.0
    for part in parts:
        while part.opcode == 'bitcast' and part.operands[0] in body:
            part = body[part.operands[0]]
        makes = body[part.operands[1]] if part.opcode == 'dynamic-update-slice' else part
        total += sum(array.nbytes for array in makes.arrays)
    return total


def _operands(instruction: Instruction, computation: Computation) -> list[ArrayType]:
    return [array for name in instruction.operands for array in _arrays(name, computation)]


def _arrays(name: str, computation: Computation) -> tuple[ArrayType, ...]:
    made = computation.get(name)
    return made.arrays if made is not None else ()


def _in_hbm(arrays: tuple[ArrayType, ...]) -> float:
    # Scalars live in registers.
    return sum(array.nbytes for array in arrays if array.space == 0 and array.dims)
