r"""Probabilities of emotions and action units, from the logits of answers that are not sampled.

Emotion. The prompt and the answer's opening are given. With w the tokens of an emotion's word,

    P(emotion) = p(w) / Σ p(w'),    p(w) = Π p(w_i | prompt, opening, w_<i)

so a long word has no disadvantage: after its first tokens the others are all but certain.

Action units. The model lists them in ascending order, so a list is a walk: from the number before,
either on to a higher one or to the end. With `go` the probability that the list goes on after S
(at its start: that the answer doesn't begin as that of a face at rest) and q the probabilities of
the numbers after that, over the allowed ones,

    P(next is a | S) = go · q(a),    P(end | S) = 1 - go
    P(a) = P(next is a | S) / (P(next is a | S) + Σ_{b > a} P(next is b | S) + P(end | S))

where S is the list of all action units below a with P >= 1/2. P(a) is the probability that the list
holds a, given what it holds below a. A number that others go on from (1 and 12) counts only if none
of them follows.

The prompt is read once; every round of the walk reads one stem and the inner nodes of the tree of
numbers on top of its cache, for the whole batch.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from emola_jax.generation.generate import Apply
from emola_jax.models.emola import Batch, Emola
from emola_jax.models.llama import Cache, first_positions, grow_cache, write_cache
from emola_jax.predict.token_tree import Stems, TokenTree, Values
from emola_jax.weights.trees import Params

MOST_CERTAIN = 30.0
"""Log odds are kept within this."""

_TINY = 1e-9


class _Context(NamedTuple):
    """What has been read so far."""

    cache: Cache
    known: Bool[Array, 'B P']
    slot: Array  # i32, where the cache goes on
    position: Int[Array, 'B']


class _Walk(NamedTuple):
    round: Array  # i32
    context: _Context
    last: Int[Array, 'B']  # index of the newest code, -1 before the first
    done: Bool[Array, 'B']
    log_odds: Float[Array, 'B C']


@functools.partial(jax.jit, static_argnames='model')
def emotion_log_probs(
    model: Emola, params: Params, batch: Batch, stems: Stems, tree: TokenTree
) -> Float[Array, 'B C']:
    """Log P of each emotion; compiled once for each model and batch shape.

    Args:
      model: the model, adapters merged.
      params: its parameters.
      batch: prompts padded on the left, one conversation per row.
      stems: the opening [1, T].
      tree: of the words.
    """
    context, _ = _read_prompt(model, params, batch, room=stems.tokens.shape[-1])
    rows = len(context.known)
    opening = Stems(*(jnp.broadcast_to(part, (rows, part.shape[-1])) for part in stems))
    _, words, _ = _look(model, params, context, opening, tree)
    return jax.nn.log_softmax(words)


@functools.partial(jax.jit, static_argnames='model')
def au_log_odds(
    model: Emola,
    params: Params,
    batch: Batch,
    stems: Stems,
    tree: TokenTree,
    rest: Int[Array, ''],
) -> Float[Array, 'B C']:
    """Log P/(1-P) of each code, in ascending order; arguments as of `emotion_log_probs`.

    Args:
      model: the model.
      params: its parameters.
      batch: prompts.
      stems: of `token_tree.au_lists`, [R, 1 + C, T].
      tree: of the codes.
      rest: the token that answers begin with where no action unit is active; negative for none.
    """
    codes, longest = len(tree.steps), stems.tokens.shape[-1]
    context, first = _read_prompt(model, params, batch, room=codes * longest)
    at_rest = jnp.where(rest >= 0, jnp.exp(first[:, jnp.maximum(rest, 0)]), 0.0)
    rows = len(context.known)

    def unfinished(walk: _Walk) -> Array:
        return (walk.round < codes) & ~walk.done.all()

    def step(walk: _Walk) -> _Walk:
        row = jnp.minimum(walk.round, len(stems.tokens) - 1)
        here = Stems(*(jnp.asarray(part)[row, walk.last + 1] for part in stems))
        goes_on, numbers, context = _look(model, params, walk.context, here, tree)
        goes_on = jnp.where(walk.round == 0, jnp.log1p(-at_rest), goes_on)
        log_odds, chosen = _hazards(goes_on, numbers, walk.last)
        index = jnp.arange(codes)
        seen = (index > walk.last[:, None]) & (index <= chosen[:, None]) & ~walk.done[:, None]
        return _Walk(
            walk.round + 1,
            context,
            last=jnp.where(walk.done | (chosen >= codes), walk.last, chosen),
            done=walk.done | (chosen >= codes - 1),
            log_odds=jnp.where(seen, log_odds, walk.log_odds),
        )

    start = _Walk(
        jnp.int32(0),
        context,
        last=jnp.full(rows, -1, jnp.int32),
        done=jnp.zeros(rows, bool),
        log_odds=jnp.zeros((rows, codes)),
    )
    return jax.lax.while_loop(unfinished, step, start).log_odds


def _hazards(
    goes_on: Float[Array, 'B'], numbers: Float[Array, 'B C'], last: Int[Array, 'B']
) -> tuple[Float[Array, 'B C'], Int[Array, 'B']]:
    """Log odds of every code after `last`, and the first of them that is listed, or C.

    Args:
      goes_on: log probability that the list goes on.
      numbers: log probability of each code after that.
      last: index of the newest code, -1 for none.
    """
    codes = numbers.shape[1]
    allowed = jnp.arange(codes) > last[:, None]
    share = jax.nn.log_softmax(jnp.where(allowed, numbers, -jnp.inf), axis=1)
    following = jnp.where(allowed, goes_on[:, None] + share, -jnp.inf)
    behind = jax.lax.cumlogsumexp(following, axis=1, reverse=True)[:, 1:]
    behind = jnp.pad(behind, ((0, 0), (0, 1)), constant_values=-jnp.inf)
    others = jnp.logaddexp(behind, jnp.log1p(-jnp.exp(goes_on))[:, None])
    log_odds = jnp.clip(following - others, -MOST_CERTAIN, MOST_CERTAIN)
    listed = allowed & (log_odds >= 0)
    return log_odds, jnp.where(listed.any(1), listed.argmax(1), codes).astype(jnp.int32)


def _read_prompt(
    model: Emola, params: Params, batch: Batch, *, room: int
) -> tuple[_Context, Float[Array, 'B V']]:
    """What is known after the prompt, with room for more; log probabilities of the next token."""
    prefill = cast(Apply, functools.partial(model.apply, {'params': params}, method=Emola.prefill))
    logits, cache = prefill(batch)
    known = jnp.pad(batch['segment_ids'] != 0, ((0, 0), (0, room)))
    context = _Context(
        grow_cache(cache, room),
        known,
        jnp.int32(batch['tokens'].shape[1]),
        batch['positions'][:, -1] + 1,
    )
    return context, jax.nn.log_softmax(logits)


def _look(
    model: Emola, params: Params, context: _Context, stems: Stems, tree: TokenTree
) -> tuple[Float[Array, 'B'], Float[Array, 'B C'], _Context]:
    """Reads one stem per row and what may follow.

    Returns:
      (log probability of the stem's counted tokens, log probability of each alternative after it,
      the context with the stem).
    """
    rows, longest = stems.tokens.shape
    lengths = stems.valid.sum(1)
    inner = jnp.broadcast_to(tree.tokens, (rows, len(tree.tokens)))
    # Padding is on the left: its positions don't matter, since nothing looks at it.
    in_stem = context.position[:, None] + jnp.arange(longest) - (longest - lengths)[:, None]
    in_tree = (context.position + lengths)[:, None] + tree.depth
    extend = cast(Apply, functools.partial(model.apply, {'params': params}, method=Emola.extend))
    logits, own = extend(
        jnp.concatenate([stems.tokens, inner], axis=1),
        jnp.concatenate([in_stem, in_tree], axis=1),
        _tree_mask(stems.valid, tree.ancestors),
        context.cache,
        context.known,
    )
    log_probs = jax.nn.log_softmax(logits)
    spoken = jnp.take_along_axis(log_probs[:, : longest - 1], stems.tokens[:, 1:, None], axis=2)
    goes_on = jnp.minimum(jnp.where(stems.counted[:, 1:], spoken[..., 0], 0.0).sum(1), 0.0)
    grown = _Context(
        write_cache(context.cache, first_positions(own, longest), context.slot),
        jax.lax.dynamic_update_slice_in_dim(context.known, stems.valid, context.slot, axis=1),
        context.slot + longest,
        context.position + lengths,
    )
    return goes_on, _alternatives(log_probs[:, longest - 1 :], tree), grown


def _alternatives(log_probs: Float[Array, 'B nodes V'], tree: TokenTree) -> Float[Array, 'B C']:
    """Log probability of each alternative; one that others go on from must end there."""
    steps = jnp.where(tree.used, log_probs[:, tree.steps, tree.targets], 0.0).sum(2)
    onward = jnp.exp(log_probs[:, tree.end[:, None], tree.longer])
    onward = jnp.where(tree.has_longer, onward, 0.0).sum(2)
    return steps + jnp.log(jnp.maximum(1 - onward, _TINY))


def _tree_mask(valid: Bool[Values, 'B T'], ancestors: Bool[Values, 'N N']) -> Bool[Array, 'B L L']:
    """mask[b, query, key] over stem and tree: the past of a stem, the way to a node."""
    rows, longest = valid.shape
    nodes = len(ancestors)
    stem = jnp.tril(jnp.ones((longest, longest), bool)) & valid[:, None, :]
    to_stem = jnp.broadcast_to(valid[:, None, :], (rows, nodes, longest))
    to_tree = jnp.broadcast_to(ancestors, (rows, nodes, nodes))
    nothing = jnp.zeros((rows, longest, nodes), bool)
    return jnp.concatenate(
        [
            jnp.concatenate([stem, nothing], axis=2),
            jnp.concatenate([to_stem, to_tree], axis=2),
        ],
        axis=1,
    )
