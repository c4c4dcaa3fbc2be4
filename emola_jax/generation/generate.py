"""Writing answers: one compiled program of prefill and a decoding loop over a KV cache."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from emola_jax.generation.sampler import Sampler
from emola_jax.models.emola import Batch, Emola
from emola_jax.models.llama import Cache, grow_cache, write_cache
from emola_jax.parallel import sharding
from emola_jax.weights.trees import Params

Apply = Callable[..., tuple[Array, Cache]]
"""A method of the model that gives logits and a cache."""


class _State(NamedTuple):
    step: Array  # i32, tokens written so far
    answers: Int[Array, 'B M']
    done: Bool[Array, 'B']
    cache: Cache


def generate(
    model: Emola,
    params: Params,
    batch: Batch,
    *,
    max_new_tokens: int,
    eos_id: int,
    pad_id: int | None = None,
    sampler: Sampler | None = None,
    rng: Array | None = None,
) -> Int[Array, 'B M']:
    """Answers every prompt of a batch.

    Compiles once for each model, batch shape, length and sampler. Call `merge_lora` before, since
    adapters cost time at every token; on a CPU also `unroll`. Shard the batch axis to decode in
    parallel.

    Args:
        model: the model.
        params: its parameters.
        batch: prompts padded on the LEFT (segment_ids 0), one conversation a row (S = 1). A row of
            nothing but padding answers nothing.
        max_new_tokens: M.
        eos_id: ends an answer.
        pad_id: fills what is behind the eos of a finished row; None repeats the eos.
        sampler: None is greedy.
        rng: needed unless greedy: one key, or keys [B]; then an answer depends on its own prompt
            and key alone, whatever it shares the batch with.

    Returns:
        i32 ids: each answer, its eos if it ended by itself, then padding. The loop ends when all
        rows have ended.
    """
    keys = jax.random.key(0) if rng is None else rng
    with sharding.mesh_of(batch):
        return generate_jit(
            model,
            params,
            dict(batch),
            max_new_tokens,
            eos_id,
            eos_id if pad_id is None else pad_id,
            sampler or Sampler(),
            keys if keys.ndim else jax.random.split(keys, len(batch['tokens'])),
        )


@functools.partial(
    jax.jit, static_argnames=('model', 'max_new_tokens', 'eos_id', 'pad_id', 'sampler')
)
def generate_jit(
    model: Emola,
    params: Params,
    batch: Batch,
    max_new_tokens: int,
    eos_id: int,
    pad_id: int,
    sampler: Sampler,
    keys: Array,
) -> Int[Array, 'B M']:
    """`generate` as it is compiled, every argument given; `emola_jax.compile` compiles it ahead."""
    apply = cast(Apply, functools.partial(model.apply, {'params': params}))
    prompt_mask = batch['segment_ids'] != 0
    rows, prompt_length = prompt_mask.shape
    # The last token's keys are never read, so the cache holds one position less.
    room = max_new_tokens - 1
    slots = jnp.arange(prompt_length + room)
    last_position = batch['positions'][:, -1]

    def decode(state: _State) -> _State:
        """Feeds the newest token, appends its successor."""
        written = prompt_length + state.step - 1
        past_mask = jnp.pad(prompt_mask, ((0, 0), (0, room)))
        past_mask |= (slots >= prompt_length) & (slots < written)
        newest = jax.lax.dynamic_index_in_dim(state.answers, state.step - 1, 1, keepdims=False)
        logits, own = apply(
            newest,
            last_position + state.step,
            state.cache,
            past_mask,
            method=Emola.decode_step,
        )
        state = append(state, logits)
        newest = jax.lax.dynamic_index_in_dim(state.answers, state.step - 1, 1)
        place = after_reading(written, newest)
        return state._replace(cache=write_cache(state.cache, own, place))

    def append(state: _State, logits: Array) -> _State:
        tokens = sampler(logits, jax.vmap(jax.random.fold_in, (0, None))(keys, state.step))
        return _append(state, tokens, eos_id, pad_id)

    def unfinished(state: _State) -> Array:
        return (state.step < max_new_tokens) & ~state.done.all()

    logits, cache = apply(batch, method=Emola.prefill)
    cache = grow_cache(cache, room)
    state = _State(
        step=jnp.int32(0),
        answers=jnp.full((rows, max_new_tokens), pad_id, jnp.int32),
        done=~prompt_mask.any(axis=1),
        cache=cache,
    )
    return jax.lax.while_loop(unfinished, decode, append(state, logits)).answers


def after_reading(position: Int[Array, ''], tokens: Int[Array, '*rows']) -> Int[Array, '']:
    """`position`, but known only once `tokens`, which were read off the cache's products, are.

    What is written there is then written after all of the cache was read, and so in place; without
    knowing the order XLA copies every layer's cache at every token.
    """
    return position + jnp.minimum(tokens.min(), 0)  # ids are not negative


def _append(state: _State, tokens: Int[Array, 'B'], eos_id: int, pad_id: int) -> _State:
    tokens = jnp.where(state.done, pad_id, tokens)
    return state._replace(
        step=state.step + 1,
        answers=state.answers.at[:, state.step].set(tokens),
        done=state.done | (tokens == eos_id),
    )
