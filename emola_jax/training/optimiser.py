"""The optimiser: AdamW in the paper's four groups, linear warm-up and cosine decay.

Matches the released training script: LoRA and prior weights (lr, wd), prior biases (lr, 0), visual
projector weights (projector_lr, wd), its biases (projector_lr, 0).
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import optax
from flax import traverse_util

from emola_jax.config.sections import OptimiserConfig
from emola_jax.experiment import state


def schedule(config: OptimiserConfig, peak: float, steps: int) -> optax.Schedule:
    """Learning rate at a count of done steps: t/W during warm-up, then a cosine to the end.

    W = ceil(warmup_ratio * steps); the first update (count 0) has rate 0 whenever W > 0, as in the
    reference.
    """
    warmup = math.ceil(config.warmup_ratio * steps)

    def rate(count: jnp.ndarray) -> jnp.ndarray:
        rising = count / max(warmup, 1)
        progress = jnp.clip((count - warmup) / max(steps - warmup, 1), 0.0, 1.0)
        cosine = 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
        falling = config.final_ratio + (1.0 - config.final_ratio) * cosine
        return peak * jnp.where(count < warmup, rising, falling)

    return rate


def is_idle(config: OptimiserConfig, steps: int) -> bool:
    """Whether the rate of every update is 0, so that a run of `steps` changes nothing."""
    rate = schedule(config, 1.0, steps)
    return not any(float(rate(jnp.asarray(count))) > 0 for count in range(min(steps, 2)))


def make_optimiser(config: OptimiserConfig, steps: int) -> optax.GradientTransformation:
    """The optimiser over the trainable subtree, for a run of `steps` updates."""

    def adamw(peak: float, decay: float) -> optax.GradientTransformation:
        return optax.adamw(
            schedule(config, peak, steps),
            b1=config.b1,
            b2=config.b2,
            eps=config.eps,
            weight_decay=decay,
        )

    groups = optax.multi_transform(
        {
            'weights': adamw(config.lr, config.weight_decay),
            'biases': adamw(config.lr, 0.0),
            'projector_weights': adamw(config.projector_lr, config.weight_decay),
            'projector_biases': adamw(config.projector_lr, 0.0),
        },
        group_labels,
    )
    if not config.clip_norm:
        return groups
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), groups)


def group_labels(trainable: state.Params) -> state.Params:
    """The optimiser group of every trainable leaf, in the same tree."""

    def label(path: state.Path) -> str:
        visual = state.group_of(path) == state.VISUAL_PROJECTOR
        kind = 'biases' if state.is_bias(path) else 'weights'
        return f'projector_{kind}' if visual else kind

    flat = traverse_util.flatten_dict(trainable)
    return traverse_util.unflatten_dict({path: label(path) for path in flat})
