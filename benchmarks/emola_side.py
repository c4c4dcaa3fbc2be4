"""Our side of the comparisons: what a run compiles, on random weights."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh

from benchmarks import shapes as sizes
from benchmarks.shapes import Shapes
from emola_jax.config.sections import OptimiserConfig, TrainConfig
from emola_jax.experiment import base as bases
from emola_jax.experiment import state as train_state
from emola_jax.experiment.state import TrainState
from emola_jax.formats.layouts import EMOLA_HF
from emola_jax.formats.write import write_safetensors
from emola_jax.generation.generate import generate
from emola_jax.models.emola import Emola, Params, param_shapes, unroll
from emola_jax.models.lora import merge_lora
from emola_jax.parallel import cpu_memory, sharding
from emola_jax.training import loop
from emola_jax.training import optimiser as optim
from emola_jax.weights import lazy, read_files, rules

Figures = dict[str, Any]
STEPS = 1000
"""Of the schedule; a benchmark does the first few of them."""
NO_EOS = -1


def train_step(spec: Mapping[str, Any]) -> tuple[Callable[[], Figures], Figures]:
    """A call does one optimiser step, from host arrays to updated weights."""
    shapes: Shapes = spec['shapes']
    mesh, frozen, trainable = _placed(shapes, spec['folder'])
    model = Emola(shapes.model)
    if shapes.unroll:
        model, frozen = unroll(model, frozen)
    optimiser = optim.make_optimiser(OptimiserConfig(**spec['optimiser']), STEPS)
    config = TrainConfig(
        batch_size=shapes.conversations // shapes.segments,
        loss_chunk=64,
        unroll=shapes.unroll,
        accumulate=1,
        log_every=1,
        checkpoint_every=1,
        keep_checkpoints=1,
    )
    do_step = loop.jitted_step(model, optimiser, config, mesh)
    step = jax.device_put(jnp.zeros((), jnp.int32), sharding.replicated(mesh))
    places = jax.tree.map(lambda leaf: leaf.sharding, loop.state_shapes(trainable, optimiser, mesh))
    opt_state = jax.jit(optimiser.init, out_shardings=places.opt_state)(trainable)
    state = [TrainState(step, trainable, opt_state)]
    batch = sizes.packed(sizes.training_batch(shapes), shapes.segments)
    key = jax.random.key(0)

    with jax.set_mesh(mesh):
        on_mesh = sharding.shard_batch(batch, mesh)
        temporaries = cpu_memory.compile_apart(do_step, state[0], frozen, on_mesh, key)
        del on_mesh

    def call() -> Figures:
        on_mesh = sharding.shard_batch(batch, mesh)
        with jax.set_mesh(mesh):
            state[0], metrics = do_step(state[0], frozen, on_mesh, key)
        return {'loss': float(jax.block_until_ready((state[0], metrics))[1]['loss'])}

    started = time.perf_counter()
    first = call()
    compiled = time.perf_counter() - started
    return call, {'first_loss': first['loss'], 'compile': compiled, 'temporaries': temporaries}


def generation(spec: Mapping[str, Any]) -> Callable[..., Figures]:
    """A call answers the first `rows` of 'prompts' side by side, with `new_tokens` each."""
    shapes: Shapes = spec['shapes']
    mesh, frozen, trainable = _placed(shapes, spec['folder'])
    model, params = merge_lora(Emola(shapes.model), train_state.merge(frozen, trainable))
    params = sharding.one_copy(params)
    del frozen, trainable
    if shapes.unroll:
        model, params = unroll(model, params)

    @functools.cache
    def batch(rows: int) -> dict[str, jax.Array]:
        fit = -(-rows // mesh.size) * mesh.size
        asked = {
            name: np.pad(array[:rows], [(0, fit - rows), *[(0, 0)] * (array.ndim - 1)])
            for name, array in spec['prompts'].items()
        }
        return sharding.shard_batch(asked, mesh)

    def call(rows: int, new_tokens: int) -> Figures:
        tokens = generate(model, params, batch(rows), max_new_tokens=new_tokens, eos_id=NO_EOS)
        return {'tokens': np.asarray(tokens)[:rows].tolist()}

    return call


def matmul_rate(spec: Mapping[str, Any]) -> Callable[[], Figures]:
    """A call multiplies two square matrices of `size`, ten times."""
    size, dtype = spec['size'], jnp.dtype(spec['dtype'])
    a = jnp.ones((size, size), dtype)
    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))

    def call() -> Figures:
        jax.block_until_ready([multiply(a, a) for _ in range(10)])
        return {'operations': 10 * 2 * size**3}

    return call


def bandwidth(spec: Mapping[str, Any]) -> Callable[[], Figures]:
    """A call reads and writes an array of so many bytes, ten times."""
    x = jnp.ones(int(spec['bytes']) // 4, jnp.float32)
    change = jax.jit(lambda x: x + 1, donate_argnums=0)
    held = [x]

    def call() -> Figures:
        for _ in range(10):
            held[0] = change(held[0])
        jax.block_until_ready(held)
        return {'bytes': 10 * 2 * held[0].nbytes}

    return call


def start(devices: int) -> None:
    """Prepares the process as a run does; splits a CPU into virtual devices."""
    jax.config.update('jax_num_cpu_devices', devices)
    if devices == 1:
        cpu_memory.keep()


def write_weights(spec: Mapping[str, Any]) -> Callable[[], None]:
    """A call writes the weights that every side starts from into `folder`: float32, no LoRA."""
    shapes: Shapes = spec['shapes'].replace(devices=1).with_dtype('float32')

    def call() -> None:
        _, frozen, trainable = _placed(shapes, None)
        flat = flatten_dict(train_state.merge(frozen, trainable))
        held = {p: lazy.of_array(leaf) for p, leaf in flat.items() if 'lora' not in p[-1]}
        write_safetensors(Path(spec['folder']), rules.to_theirs(EMOLA_HF.rules, held))

    return call


def _placed(shapes: Shapes, folder: Path | None) -> tuple[Mesh, Params, Params]:
    """Mesh, frozen and trainable parameters: of `write_weights`, or random ones."""
    start(shapes.devices)
    mesh = sharding.make_mesh({'data': -1})
    if folder is None:
        base = bases.random_base(shapes.model, 0)
    else:
        wanted = {p: leaf for p, leaf in param_shapes(shapes.model).items() if 'lora' not in p[-1]}
        stored = read_files.open_folder(folder).tensors
        read, faults = rules.to_ours(EMOLA_HF.rules, stored, wanted)
        assert not faults, faults
        base = bases.Base(unflatten_dict(read), '', '')
    return mesh, *bases.place(shapes.model, base, mesh, seed=0)
