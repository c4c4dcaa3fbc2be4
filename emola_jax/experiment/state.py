"""What is trained and what is frozen.

The parameters are one nested dict. Training splits it in two: the frozen base, which stays outside
the optimiser and outside every checkpoint, and the trainables, each of which belongs to a group.
"""

from __future__ import annotations

import jax
import optax
from flax import struct, traverse_util

from emola_jax.models.emola import Params

Path = tuple[str, ...]

LORA = 'lora'
VISUAL_PROJECTOR = 'visual_projector'
PRIOR_PROJECTOR = 'prior_projector'
GROUPS = (LORA, VISUAL_PROJECTOR, PRIOR_PROJECTOR)
"""The paper's trainables (section 4.1): LoRA and the projectors."""


class TrainState(struct.PyTreeNode):
    """All that a training step changes; a checkpoint holds this and nothing of the base.

    Attributes:
      step: i32 scalar, optimiser steps done.
      trainable: the trainable part of the parameters.
      opt_state: optax state over `trainable`.
    """

    step: jax.Array
    trainable: Params
    opt_state: optax.OptState


def group_of(path: Path) -> str | None:
    """The trainable group that the parameter at `path` belongs to; None if it is frozen."""
    if path[-1] in ('lora_a', 'lora_b'):
        return LORA
    if path[0] == 'visual_projector':
        return VISUAL_PROJECTOR
    if path[:2] == ('face_prior', 'projector'):
        return PRIOR_PROJECTOR
    if path[0] == 'more_priors' and path[2] == 'projector':  # path[1] is the prior's name
        return PRIOR_PROJECTOR
    return None


def is_bias(path: Path) -> bool:
    """Whether the parameter at `path` is a bias (which the paper's optimiser doesn't decay)."""
    return path[-1] == 'bias'


def split(params: Params) -> tuple[Params, Params]:
    """Splits `params` into (frozen, trainable), two nested dicts without a common leaf."""
    flat = traverse_util.flatten_dict(params)
    trainable = {path: leaf for path, leaf in flat.items() if group_of(path)}
    frozen = {path: leaf for path, leaf in flat.items() if path not in trainable}
    return traverse_util.unflatten_dict(frozen), traverse_util.unflatten_dict(trainable)


def merge(frozen: Params, trainable: Params) -> Params:
    """The inverse of `split`."""
    return traverse_util.unflatten_dict(
        traverse_util.flatten_dict(frozen) | traverse_util.flatten_dict(trainable)
    )
