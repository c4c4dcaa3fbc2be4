"""The programs of a run at full size, compiled from shapes: no weight is ever allocated."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from emola_jax.compile import costs, flops, hlo
from emola_jax.compile.chips import Chip
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import base, splits
from emola_jax.files.json_values import JsonObject
from emola_jax.generation.generate import generate_jit
from emola_jax.models.emola import Emola, unroll
from emola_jax.parallel import sharding
from emola_jax.training import loop
from emola_jax.training import optimiser as optim

PROGRAMS = ('train', 'generate')


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A program before XLA compiles it, and what is known of it by hand.

    Attributes:
      lowered: of `jax.jit(…).lower`.
      dynamic_trips: rounds that are assumed of loops whose length depends on data.
      by_hand: operations over all chips.
      round_by_hand: those of one round of such a loop, where a round is a token of every answer.
      arguments: bytes that parameters, optimiser and batch take on each chip.
      shape: rows and lengths, for the report.
    """

    lowered: Any  # jax.stages.Lowered; its options may be numbers, which its types leave out
    dynamic_trips: int
    by_hand: flops.Flops
    arguments: int
    shape: JsonObject
    round_by_hand: flops.Flops | None = None


def lower(config: RunConfig, mesh: Mesh, program: str) -> Lowered:
    """One of `PROGRAMS`, from the config's values.

    Raises:
      UserError: the mesh doesn't fit the parameters or the batch; names what doesn't.
    """
    return {'train': _train, 'generate': _generate}[program](config, mesh)


def _train(config: RunConfig, mesh: Mesh) -> Lowered:
    model = Emola(config.model)
    frozen, trainable = base.shapes_on(model.cfg, mesh)
    # The number of steps is a constant of the schedule; it changes nothing here.
    optimiser = optim.make_optimiser(config.train.optimiser, 1000)
    state = loop.state_shapes(trainable, optimiser, mesh)
    if config.train.unroll:
        model, frozen = unroll(model, frozen)
    step = loop.jitted_step(model, optimiser, config.train, mesh)
    rows, length = config.train.batch_size, config.data.length
    segments = config.data.segments
    batch = _batch(config, mesh, rows=rows, length=length, segments=segments)
    for name, dtype in (('targets', jnp.int32), ('loss_weights', jnp.float32)):
        batch[name] = _on_mesh((rows, length), dtype, mesh)
    # An answer fits one chunk of the loss; more chunks run only where several share a row.
    chunks = min(segments, math.ceil(length / config.train.loss_chunk))
    arguments = (state, frozen, batch, _key(mesh))
    with jax.set_mesh(mesh):
        lowered = step.lower(*arguments)
    return Lowered(
        lowered,
        chunks,
        flops.train_flops(
            model.cfg,
            rows=rows,
            length=length,
            segments=segments,
            trained=min(chunks * config.train.loss_chunk, length),
            tensor=mesh.shape['tensor'],
        ),
        _bytes_a_chip(arguments),
        {'rows': rows, 'length': length, 'segments': segments},
    )


def _generate(config: RunConfig, mesh: Mesh) -> Lowered:
    model = Emola(config.model)
    if config.eval.merge:
        model = Emola(model.cfg.replace(lora=None, quantize=None))
    frozen, trainable = base.shapes_on(model.cfg, mesh)
    params = loop.train_state.merge(frozen, trainable)
    if config.eval.unroll:
        model, params = unroll(model, params)
    new = max(config.eval.max_new_tokens.values())
    sharing = sharding.batch_devices(mesh)
    rows = math.ceil(config.eval.batch_size / sharing) * sharing
    length = model.cfg.visual_tokens + PROMPT_TOKENS
    batch = _batch(config, mesh, rows=rows, length=length, segments=1)
    with jax.set_mesh(mesh):
        keys = _key(mesh, rows)
        lowered = generate_jit.lower(model, params, batch, new, 2, 2, config.eval.sampler, keys)
    # The cache has its full length from the first token on.
    each = flops.decode_flops(model.cfg, rows=rows, context=length + new - 1)
    parts = [flops.prefill_flops(model.cfg, rows=rows, length=length), *[each] * (new - 1)]
    by_hand = flops.Flops(
        *(math.fsum(column) for column in zip(*map(dataclasses.astuple, parts), strict=True))
    )
    return Lowered(
        lowered,
        new - 1,
        by_hand,
        _bytes_a_chip((params, batch)),
        {'rows': rows, 'prompt': length, 'new_tokens': new},
        each,
    )


PROMPT_TOKENS = 127
"""Text of a prompt, in tokens: FABA-Instruct's longest instruction and the template around it."""


def report(
    program: Lowered, chip: Chip, mesh: Mesh, *, fast: bool = False
) -> tuple[JsonObject, str]:
    """Compiles the program and says what it needs of each chip.

    Args:
      program: of `lower`.
      chip: what it would run on.
      mesh: how many of them.
      fast: let XLA search less. Operations stay the same; temporaries and memory traffic are then
        an upper bound, since less is kept near the cores.

    Returns:
      ('fits', 'hbm' (bytes a chip), 'flops', 'hbm_bytes', 'collectives', 'xla_seconds', 'roofline'
      and of generation 'token_flops', of one token of every answer;
      or if XLA refuses for want of memory only 'fits' and 'hbm', with what it says the program
      needs; the text of the compiled program, empty if XLA refuses).

    Raises:
      UserError: XLA refuses the program for another reason.
    """
    started = time.perf_counter()
    options = {'exec_time_optimization_effort': -1.0} if fast else None
    try:
        compiled = program.lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        refused = _refused(program, chip, error)
        seconds = round(time.perf_counter() - started, 1)
        return {**refused, 'compile_seconds': seconds}, ''
    seconds = round(time.perf_counter() - started, 1)
    hbm, text = _memory(compiled, chip), compiled.as_text() or ''
    costs_of = _costs(program, chip, mesh.size, text, compiled.cost_analysis() or {})
    found = {'fits': hbm['total'] <= chip.hbm, 'hbm': hbm, **costs_of}
    token = found.pop('token_flops', None)
    return {**found, 'compile_seconds': seconds, **({'token_flops': token} if token else {})}, text


def _refused(program: Lowered, chip: Chip, error: Exception) -> JsonObject:
    """What is known of a program that XLA refuses for want of memory.

    Raises:
      UserError: it refuses it for another reason.
    """
    needed = _needed(str(error), program.arguments)
    if needed is None:
        reason = str(error).strip().partition('\n')[0]
        raise UserError(f'XLA cannot compile this program: {reason}') from error
    hbm = {'arguments': program.arguments, 'total': needed, 'chip': chip.hbm}
    return {'fits': False, 'hbm': hbm}


def _memory(compiled: jax.stages.Compiled, chip: Chip) -> JsonObject:
    """Bytes a chip."""
    memory = compiled.memory_analysis()
    assert memory is not None  # a TPU's compiler has it
    total = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
    )
    return {
        'arguments': memory.argument_size_in_bytes,
        'temporaries': memory.temp_size_in_bytes,
        'output': memory.output_size_in_bytes,
        'output_in_arguments': memory.alias_size_in_bytes,
        'program': memory.generated_code_size_in_bytes,
        'total': total,
        'chip': chip.hbm,
    }


def _costs(
    program: Lowered, chip: Chip, chips: int, text: str, cost: Mapping[str, float]
) -> JsonObject:
    """Operations, traffic and time of a compiled program.

    Args:
      program: of `lower`.
      chip: what it would run on.
      chips: how many of them.
      text: of the compiled program.
      cost: XLA's own analysis.
    """
    module = hlo.parse(text)
    counted = costs.flops(module, program.dynamic_trips)
    moved = costs.hbm_bytes(module, program.dynamic_trips)
    exchanged = costs.collectives(module, chips, program.dynamic_trips)
    estimate = cost.get('optimal_seconds', 0.0)
    found: JsonObject = {
        'flops': {
            **_agreement(counted, program.by_hand.total / chips),
            'by_hand_parts': {
                name: value / chips for name, value in dataclasses.asdict(program.by_hand).items()
            },
            'xla_once_a_loop': cost.get('flops'),
        },
        'hbm_bytes': moved,
        'collectives': _by_kind(exchanged),
        'xla_seconds': estimate if estimate > 0 else None,
        'roofline': roofline(
            chip, counted, moved, math.fsum(one.runs * one.sent for one in exchanged)
        ),
    }
    if program.round_by_hand is not None:
        token = costs.flops_of_round(module, program.dynamic_trips)
        found['token_flops'] = _agreement(token, program.round_by_hand.total / chips)
    return found


def _agreement(compiled: float, by_hand: float) -> JsonObject:
    """Operations a chip."""
    return {'compiled': compiled, 'by_hand': by_hand, 'ratio': compiled / by_hand}


def roofline(chip: Chip, operations: float, moved: float, sent: float) -> JsonObject:
    """Seconds that arithmetic, memory and network would take alone; the largest bounds the step."""
    times = {
        'compute': operations / chip.flops,
        'memory': moved / chip.hbm_rate,
        'network': sent / chip.ici_rate,
    }
    bound = max(times, key=lambda name: times[name])
    return {**times, 'seconds': times[bound], 'bound': bound}


def _by_kind(exchanged: list[costs.Collective]) -> JsonObject:
    kinds: JsonObject = {}
    for one in exchanged:
        kind = kinds.setdefault(one.kind, {'runs': 0.0, 'bytes': 0.0, 'largest': 0.0})
        kind['runs'] += one.runs
        kind['bytes'] += one.runs * one.sent
        kind['largest'] = max(kind['largest'], max(array.nbytes for array in one.arrays))
    return kinds


def _needed(message: str, arguments: int) -> float | None:
    """Bytes that a refused program needs, from XLA's message; None if that is not the reason."""
    whole = re.search(r'Used ([\d.]+)([KMGT]) of [\d.]+[KMGT] hbm', message)
    if whole:
        return float(whole[1]) * _UNITS[whole[2]]
    temporaries = re.search(r'HLO temporaries \(([\d.]+)([KMGT])\) exceeds available', message)
    if temporaries:
        return arguments + float(temporaries[1]) * _UNITS[temporaries[2]]
    return None


_UNITS = {'K': 2.0**10, 'M': 2.0**20, 'G': 2.0**30, 'T': 2.0**40}


def _batch(config: RunConfig, mesh: Mesh, *, rows: int, length: int, segments: int) -> JsonObject:
    cfg = config.model
    batch = {
        name: _on_mesh((rows, length), jnp.int32, mesh)
        for name in ('tokens', 'positions', 'segment_ids')
    }
    if cfg.reads_images:
        size = splits.image_size(config, cfg)
        batch['images'] = _on_mesh((rows, segments, size, size, 3), jnp.uint8, mesh)
    if cfg.reads_landmarks:
        batch['landmarks'] = _on_mesh((rows, segments, cfg.landmark_inputs), jnp.float32, mesh)
    return batch


def _on_mesh(shape: tuple[int, ...], dtype: DTypeLike, mesh: Mesh) -> jax.ShapeDtypeStruct:
    sharing = mesh.shape['data'] * mesh.shape['fsdp']
    if shape[0] % sharing:
        raise UserError(f'a batch of {shape[0]} rows cannot be shared by {sharing} devices')
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, sharding.BATCH_SPEC))


def _bytes_a_chip(tree: object) -> int:
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
        if leaf.sharding is not None
    )


def _key(mesh: Mesh, *rows: int) -> jax.ShapeDtypeStruct:
    """One random key, or one for each of `rows`."""
    key = jax.eval_shape(functools.partial(jax.random.key, 0))
    place = NamedSharding(mesh, sharding.BATCH_SPEC if rows else PartitionSpec())
    return jax.ShapeDtypeStruct(rows, key.dtype, sharding=place)
