"""Reads the text of a compiled program: its instructions, and how often each one runs.

XLA's own cost analysis counts the body of a loop once, and a scanned model is one loop; here a body
counts as often as it runs.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

_BITS = {'pred': 8, 's2': 2, 'u2': 2, 's4': 4, 'u4': 4}
_ARRAY = re.compile(r'\b([a-z]+[0-9]*[a-z0-9]*)\[([0-9,]*)\](\{[^}]*\})?')
_HEADER = re.compile(r'^(ENTRY )?%?([\w.\-]+)\s*\(.*->.*\{\s*$')
_LINE = re.compile(r'^\s*(ROOT )?%?([\w.\-]+) = (.*)$')
_NAME = re.compile(r'%([\w.\-]+)')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_CALLED = re.compile(
    r'(?:calls|to_apply|body|condition|branch_computations|called_computations)='
    r'(\{[^}]*\}|%[\w.\-]+)'
)


@dataclasses.dataclass(frozen=True)
class ArrayType:
    """One array of an instruction's result.

    Attributes:
      dtype: as XLA writes it ('bf16').
      dims: its shape.
      space: memory space; 0 is the device's main memory (HBM).
    """

    dtype: str
    dims: tuple[int, ...]
    space: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.dims)

    @property
    def nbytes(self) -> float:
        """Bytes without the padding of tiles."""
        digits = re.match(r'[a-z]+(\d+)', self.dtype)
        bits = _BITS.get(self.dtype) or (int(digits[1]) if digits else 0)
        return self.size * bits / 8


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
      name: unique in the module.
      arrays: what it makes; several if it makes a tuple.
      opcode: 'dot', 'fusion', 'all-gather', …
      operands: names of instructions of the same computation.
      arguments: the text between the operands' parentheses (a parameter's number).
      attributes: the text after them.
      root: whether the computation returns it.
    """

    name: str
    arrays: tuple[ArrayType, ...]
    opcode: str
    operands: tuple[str, ...]
    arguments: str
    attributes: str
    root: bool = False

    def attribute(self, name: str) -> str:
        """The text of `name=…` up to the next comma or the matching brace; '' if absent."""
        found = re.search(rf'\b{name}=(\{{[^}}]*\}}|[^,\s]+)', self.attributes)
        return found[1] if found else ''

    def dims_of(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of numbers."""
        return tuple(int(number) for number in re.findall(r'\d+', self.attribute(name)))

    @property
    def called(self) -> tuple[str, ...]:
        """Computations that it runs; of an asynchronous one only its start does."""
        if self.opcode in ('async-update', 'async-done'):
            return ()
        return tuple(
            name for text in _CALLED.findall(self.attributes) for name in _NAME.findall(text)
        )


Computation = dict[str, Instruction]


@dataclasses.dataclass(frozen=True)
class Module:
    """A compiled program."""

    computations: dict[str, Computation]
    entry: str

    def runs(self, dynamic_trips: int = 1) -> dict[str, float]:
        """How often each computation runs when the program runs once.

        Args:
          dynamic_trips: taken for loops whose number of rounds depends on data.
        """
        counts = dict.fromkeys(self.computations, 0.0)
        for name in self._callers_first():
            if name == self.entry:
                counts[name] += 1.0
            for instruction in self.computations[name].values():
                is_loop = instruction.opcode == 'while'
                trips = self.trips(instruction, self.computations[name]) if is_loop else 1
                rounds = dynamic_trips if trips is None else trips
                for callee in instruction.called:
                    counts[callee] += counts[name] * rounds
        return counts

    def trips(self, loop: Instruction, computation: Computation) -> int | None:
        """Rounds of a while loop of `computation`; None if they depend on data.

        XLA notes them beside the loop, except for TPUs: there they follow from the comparison that
        ends the loop, and from where its counter starts and what is added to it.
        """
        known = _TRIPS.search(loop.attributes)
        if known:
            return int(known[1])
        condition = self.computations[loop.attribute('condition').lstrip('%')]
        comparisons = [one for one in condition.values() if one.opcode == 'compare']
        if len(comparisons) != 1 or comparisons[0].attribute('direction') != 'LT':
            return None
        counter, limit = (condition[name] for name in comparisons[0].operands)
        end = _constant(limit)
        carried = computation.get(loop.operands[0])
        if counter.opcode != 'get-tuple-element' or carried is None:
            return None
        if carried.opcode != 'tuple':
            return end
        if end is None and limit.opcode == 'get-tuple-element':
            end = _constant(_copied(carried.operands[int(limit.attribute('index'))], computation))
        index = int(counter.attribute('index'))
        start = _constant(_copied(carried.operands[index], computation)) or 0
        step = _step(self.computations[loop.attribute('body').lstrip('%')], index)
        return None if end is None else -(-(end - start) // step)

    def inside_fusions(self) -> set[str]:
        """Computations that are the inside of one kernel: what they make stays out of HBM."""
        inside: set[str] = set()
        for computation in self.computations.values():
            for instruction in computation.values():
                if instruction.opcode in _KERNELS:
                    inside.update(instruction.called)
        for name in self._callers_first():
            if name in inside:
                for instruction in self.computations[name].values():
                    inside.update(instruction.called)
        return inside

    def _callers_first(self) -> Iterator[str]:
        """Every computation after all that call it."""
        order: list[str] = []
        seen: set[str] = set()

        def visit(name: str) -> None:
            if name in seen:
                return
            seen.add(name)
            for instruction in self.computations[name].values():
                for callee in instruction.called:
                    visit(callee)
            order.append(name)

        for name in self.computations:
            visit(name)
        return reversed(order)


# Opcodes whose called computations run element by element or inside one kernel.
_KERNELS = (
    'fusion',
    'reduce',
    'reduce-window',
    'scatter',
    'select-and-scatter',
    'sort',
    'map',
    'all-reduce',
    'all-reduce-start',
    'reduce-scatter',
)


def _constant(instruction: Instruction | None) -> int | None:
    if instruction is None or instruction.opcode != 'constant':
        return None
    return int(instruction.arguments) if instruction.arguments.lstrip('-').isdigit() else None


def _copied(name: str, computation: Computation) -> Instruction | None:
    """The instruction behind a chain of copies."""
    found = computation.get(name)
    while found is not None and found.opcode in ('copy', 'bitcast', 'copy-done', 'copy-start'):
        found = computation.get(found.operands[0])
    return found


def _step(body: Computation, index: int) -> int:
    """What a loop's body adds to its counter; 1 if that cannot be read."""
    root = next((one for one in body.values() if one.root), None)
    if root is None or root.opcode != 'tuple':
        return 1
    added = _copied(root.operands[index], body)
    if added is None or added.opcode != 'add':
        return 1
    steps = [_constant(body.get(name)) for name in added.operands]
    return next((step for step in steps if step), 1)


def parse(text: str) -> Module:
    """The module behind `compiled.as_text()`."""
    computations: dict[str, Computation] = {}
    entry, current = '', None
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header and ' = ' not in line.split('(', 1)[0]:
            current = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        elif line.startswith('}'):
            current = None
        elif current is not None and (found := _LINE.match(line)):
            instruction = _instruction(found[2], found[3], bool(found[1]))
            if instruction is not None:
                current[instruction.name] = instruction
    return Module(computations, entry)


def _instruction(name: str, text: str, root: bool) -> Instruction | None:
    kind, rest = _split_type(text)
    opcode, bracket, tail = rest.partition('(')
    if not bracket:
        return None
    end = _closing(tail)
    arguments, attributes = tail[:end], tail[end + 1 :]
    return Instruction(
        name, arrays(kind), opcode.strip(), tuple(_NAME.findall(arguments)), arguments, attributes,
        root,
    )  # fmt: skip


def _split_type(text: str) -> tuple[str, str]:
    if not text.startswith('('):
        kind, _, rest = text.partition(' ')
        return kind, rest
    end = _closing(text[1:]) + 2
    return text[:end], text[end:].lstrip()


def _closing(text: str) -> int:
    """Position of the parenthesis that closes one opened before `text`."""
    depth = 1
    for position, character in enumerate(text):
        depth += (character == '(') - (character == ')')
        if not depth:
            return position
    return len(text)


def arrays(text: str) -> tuple[ArrayType, ...]:
    """All array types in the text of a type."""
    found = []
    for dtype, dims, layout in _ARRAY.findall(text):
        space = re.search(r'S\((\d+)\)', layout)
        shape = tuple(int(size) for size in dims.split(',') if size)
        found.append(ArrayType(dtype, shape, int(space[1]) if space else 0))
    return tuple(found)
