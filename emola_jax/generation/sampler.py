"""Choosing the next token from logits."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emola_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sampler:
    """Temperature, then top-k, then top-p, in Hugging Face's order and meaning.

    Attributes:
        temperature: divides the logits; 0 is greedy (and the other two have no effect).
        top_k: only the k likeliest tokens; 0 is all.
        top_p: only the likeliest tokens up to and with the one that reaches this total probability
            (Holtzman et al., 2020).
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise UserError(f'sampler.temperature {self.temperature} must not be negative.')
        if self.top_k < 0:
            raise UserError(f'sampler.top_k {self.top_k} must be 0 (all tokens) or more.')
        if not 0 < self.top_p <= 1:
            raise UserError(f'sampler.top_p {self.top_p} must lie in (0, 1].')

    def __call__(self, logits: Float[Array, 'B V'], rng: Array) -> Int[Array, 'B']:
        """One token id (i32) a row.

        `rng`, not used when greedy, is one key for all rows, or keys [B]: then a row's token does
        not depend on the other rows.
        """
        if self.temperature == 0:
            return _first_highest(logits)
        kept, ids = self.candidates(logits)
        draw = jax.vmap(jax.random.categorical) if rng.ndim else jax.random.categorical
        choice = draw(rng, kept)
        return jnp.take_along_axis(ids, choice[:, None], axis=-1)[:, 0].astype(jnp.int32)

    def candidates(
        self, logits: Float[Array, 'B V']
    ) -> tuple[Float[Array, 'B C'], Int[Array, 'B C']]:
        """What is drawn from: logits by falling value, -inf where top-p cuts, and their ids.

        Needs a temperature above 0. C is top_k, or the vocabulary.
        """
        vocab = logits.shape[-1]
        # Sorted, so that both cuts keep a prefix.
        logits, ids = jax.lax.top_k(logits / self.temperature, min(self.top_k or vocab, vocab))
        if self.top_p == 1:
            return logits, ids  # rounding would cut the tail
        probabilities = jax.nn.softmax(logits, axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        # The first is kept whatever rounding does to `before`.
        kept = (before < self.top_p) | (jnp.arange(logits.shape[-1]) == 0)
        return jnp.where(kept, logits, -jnp.inf), ids


def _first_highest(logits: Float[Array, 'B V']) -> Int[Array, 'B']:
    """Argmax as two plain reductions; on a CPU one over pairs takes twice the time."""
    vocab = logits.shape[-1]
    highest = logits.max(axis=-1, keepdims=True)
    places = jnp.where(logits == highest, jnp.arange(vocab, dtype=jnp.int32), vocab - 1)
    return places.min(axis=-1)
