"""Writing many answers without waiting for the longest: a row that ended takes the next question.

The rows of a batch share one cache. Its first part holds each row's prompt; the second is a ring in
which all rows write their newest token at the same place. A row is never older than the ring is
long, and its mask hides what the one before it left, so that nothing is moved when it is refilled.
An answer depends on its own prompt and key alone, as in `generate`, which writes the same.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Int, UInt32

from emola_jax.generation.generate import Apply, after_reading
from emola_jax.generation.sampler import Sampler
from emola_jax.models.emola import Batch, Emola, Params
from emola_jax.models.llama import Cache, cache_axis, write_cache
from emola_jax.parallel import sharding
from emola_jax.weights.trees import KeyPath


@dataclasses.dataclass(frozen=True)
class Stream:
    """What does not change while answers are written; static to `jax.jit`.

    Attributes:
      model: the model.
      rows: answers written side by side, B, over all devices.
      refill: prompts read at a time, R, over all devices.
      prompt: tokens that the longest prompt is padded to.
      room: tokens of the longest answer, M.
      eos_id: ends an answer, and fills what is behind its end.
      sampler: chooses tokens.
      devices: that share a batch; `rows` and `refill` are multiples.
    """

    model: Emola
    rows: int
    refill: int
    prompt: int
    room: int
    eos_id: int
    sampler: Sampler
    devices: int


class State(NamedTuple):
    """All rows.

    Attributes:
      time: steps done, by all rows together.
      cache: [.., prompt + ring, ..].
      mask: which positions of it a row may see.
      keys: a row's threefry key.
      limit: tokens that its answer may have.
      position: of its newest token, for RoPE.
      newest: that token, which is not in the cache yet.
      written: tokens of its answer so far.
      done: whether it has ended; a row without a question has.
      answers: the tokens.
    """

    time: Int[Array, '']
    cache: Cache
    mask: Bool[Array, 'B P']
    keys: UInt32[Array, 'B 2']
    limit: Int[Array, 'B']
    position: Int[Array, 'B']
    newest: Int[Array, 'B']
    written: Int[Array, 'B']
    done: Bool[Array, 'B']
    answers: Int[Array, 'B M']


def empty(stream: Stream, params: Params, prompts: Batch, mesh: Mesh) -> State:
    """Rows without questions.

    Args:
      stream: the settings.
      params: of the model, on the mesh.
      prompts: any that `admit` takes; only the shapes count.
      mesh: the devices.
    """
    rows, slots = stream.rows, stream.prompt + max(stream.room - 1, 1)

    def prefill(params: Params, prompts: Batch) -> Cache:
        apply = cast(Apply, stream.model.apply)
        return apply({'params': params}, prompts, method=Emola.prefill)[1]

    def make() -> State:
        def blank(path: KeyPath, leaf: jax.ShapeDtypeStruct) -> Array:
            shape = list(leaf.shape)
            shape[cache_axis(path, 'rows')] = rows
            shape[cache_axis(path, 'positions')] = slots
            return jnp.zeros(shape, leaf.dtype)

        number = jnp.zeros(rows, jnp.int32)
        state = State(
            time=jnp.int32(0),
            cache=jax.tree_util.tree_map_with_path(blank, shapes),
            mask=jnp.zeros((rows, slots), bool),
            keys=jnp.zeros((rows, 2), jnp.uint32),
            limit=number,
            position=number,
            newest=number,
            written=number,
            done=jnp.ones(rows, bool),
            answers=jnp.full((rows, stream.room), stream.eos_id, jnp.int32),
        )
        return _constrained(state)

    with jax.set_mesh(mesh):
        shapes = jax.eval_shape(prefill, params, prompts)
        return jax.jit(make)()


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def admit(
    stream: Stream, params: Params, state: State, prompts: Mapping[str, Array], source: Array
) -> State:
    """Reads prompts and gives them rows.

    Args:
      stream: the settings.
      params: of the model.
      state: donated.
      prompts: see `input_pipeline.prompt_batches.prompt_batch`, R rows and at most
        `stream.prompt` tokens; and 'keys' u32[R, 2], 'limits' i32[R].
      source: i32[B]; which of the prompts on its own device a row takes, -1 for none.
    """
    batch = {name: leaf for name, leaf in prompts.items() if name not in ('keys', 'limits')}
    logits, cache = stream.model.apply({'params': params}, batch, method=Emola.prefill)
    first = stream.sampler(logits, _step_keys(prompts['keys'], jnp.zeros(stream.refill, jnp.int32)))
    fresh = source >= 0

    def take(new: Array, old: Array, axis: int = 0) -> Array:
        """The rows of `old`, or of `new` where a row is fresh."""
        chosen = _pick(new, source, stream.devices, axis)
        shape = [1] * old.ndim
        shape[axis] = stream.rows
        return jnp.where(fresh.reshape(shape), chosen, old)

    def take_cache(path: KeyPath, new: Array, old: Array) -> Array:
        axis = cache_axis(path, 'positions') % new.ndim
        begin = jax.lax.slice_in_dim(old, 0, new.shape[axis], axis=axis)
        begin = take(new, begin, cache_axis(path, 'rows') % new.ndim)
        return jax.lax.dynamic_update_slice_in_dim(old, begin, 0, axis)

    ahead = state.mask.shape[1] - batch['tokens'].shape[1]
    real = jnp.pad(batch['segment_ids'] != 0, ((0, 0), (0, ahead)))
    blank = jnp.full((stream.refill, stream.room), stream.eos_id, jnp.int32)
    one = jnp.ones(stream.refill, jnp.int32)
    return _constrained(
        State(
            time=state.time,
            cache=jax.tree_util.tree_map_with_path(take_cache, cache, state.cache),
            mask=take(real, state.mask),
            keys=take(prompts['keys'], state.keys),
            limit=take(prompts['limits'], state.limit),
            position=take(batch['positions'][:, -1] + 1, state.position),
            newest=take(first, state.newest),
            written=take(one, state.written),
            done=take((first == stream.eos_id) | (prompts['limits'] <= 1), state.done),
            answers=take(blank.at[:, 0].set(first), state.answers),
        )
    )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def advance(stream: Stream, params: Params, state: State, wanted: Array) -> State:
    """Writes on until `wanted` rows have ended.

    Args:
      stream: the settings.
      params: of the model.
      state: donated.
      wanted: i32; rows without a question count.
    """
    apply = cast(Apply, stream.model.apply)

    def step(state: State) -> State:
        slot = stream.prompt + state.time % (state.mask.shape[1] - stream.prompt)
        logits, own = apply(
            {'params': params},
            state.newest,
            state.position,
            state.cache,
            state.mask,
            method=Emola.decode_step,
        )
        tokens = stream.sampler(logits, _step_keys(state.keys, state.written))
        tokens = jnp.where(state.done, stream.eos_id, tokens)
        here = (jnp.arange(stream.room) == state.written[:, None]) & ~state.done[:, None]
        written = state.written + ~state.done
        return state._replace(
            time=state.time + 1,
            cache=write_cache(state.cache, own, after_reading(slot, tokens)),
            mask=jax.lax.dynamic_update_slice_in_dim(
                state.mask, jnp.ones_like(state.done)[:, None], slot, axis=1
            ),
            position=state.position + 1,
            newest=tokens,
            written=written,
            done=state.done | (tokens == stream.eos_id) | (written >= state.limit),
            answers=jnp.where(here, tokens[:, None], state.answers),
        )

    return _constrained(jax.lax.while_loop(lambda state: state.done.sum() < wanted, step, state))


def _step_keys(keys: UInt32[Array, 'B 2'], step: Int[Array, 'B']) -> Array:
    typed = jax.random.wrap_key_data(keys, impl='threefry2x32')
    return jax.vmap(jax.random.fold_in)(typed, step)


def _pick(new: Array, source: Int[Array, 'B'], devices: int, axis: int) -> Array:
    """For every row the prompt that it takes, each device among its own; -1 takes any."""
    here = source.reshape(devices, -1)
    apart = new.reshape(*new.shape[:axis], devices, -1, *new.shape[axis + 1 :])
    pick = functools.partial(jnp.take, axis=axis, mode='clip')
    chosen = jax.vmap(pick, in_axes=(axis, 0), out_axes=axis)(apart, here)
    return chosen.reshape(*new.shape[:axis], -1, *new.shape[axis + 1 :])


def _constrained(state: State) -> State:
    """The same, rows over the devices that share a batch, and heads as in the model."""

    def of_cache(path: KeyPath, leaf: Array) -> Array:
        names: list[str | None] = [None] * leaf.ndim
        names[cache_axis(path, 'rows')] = 'batch'
        names[cache_axis(path, 'rows') + 1] = 'kv_heads'
        return sharding.constrain(leaf, *names)

    def of_rows(leaf: Array) -> Array:
        return sharding.constrain(leaf, 'batch', *[None] * (leaf.ndim - 1)) if leaf.ndim else leaf

    rest = jax.tree.map(of_rows, state._replace(cache={}))
    return rest._replace(cache=jax.tree_util.tree_map_with_path(of_cache, state.cache))
