"""What XLA's compiler for CPUs is told beyond its defaults, as far as it knows the words."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

Options = Mapping[str, str | int | bool]

KEEPS_BARRIERS: Options = {
    # By default barriers go before what they hold apart is merged again: what the backward pass
    # is to compute again would be kept from the forward pass instead.
    'xla_disable_hlo_passes': 'cse_barrier_expander',
}
"""For programs whose barriers (`optimization_barrier`, `jax.checkpoint`) save time or memory.

XLA makes one kernel of a loop over a handful of numbers, and cannot compile one that holds a
barrier ("Unhandled opcode … opt-barrier"); loops over a layer or a picture are far from that.
"""


def known(options: Options) -> dict[str, str | int | bool]:
    """Those of `options` that this XLA has: they save time or memory, and come and go with it.

    None of them may change what a program computes.
    """
    return {name: value for name, value in options.items() if _is_known(name, value)}


@functools.cache
def _is_known(name: str, value: str | int | bool) -> bool:
    def probe(x: jax.Array) -> jax.Array:
        return jax.lax.optimization_barrier(jnp.sin(x)) + 1

    try:
        jax.jit(probe, compiler_options={name: value}).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
