"""Which of a config's values the compiled programs read, and so tell one sweep from another."""

from __future__ import annotations

from emola_jax.config.run import RunConfig


def read(config: RunConfig) -> dict[str, object]:
    """What shapes the programs, by name, but for what each case of a sweep names itself."""
    return {
        'model': config.model.replace(quantize=None),
        'base.quantize': config.base.quantize,
        'data.image_size': config.data.image_size,
        'data.segments': config.data.segments,
        'train.loss_chunk': config.train.loss_chunk,
        'train.unroll': config.train.unroll,
        'train.accumulate': config.train.accumulate,
        'train.optimiser': config.train.optimiser,
        'eval.batch_size': config.eval.batch_size,
        'eval.max_new_tokens': max(config.eval.max_new_tokens.values()),
        'eval.sampler': config.eval.sampler,
        'eval.unroll': config.eval.unroll,
        'eval.merge': config.eval.merge,
    }


def differing(one: RunConfig, other: RunConfig) -> list[str]:
    """The names of `read` in which two configs differ."""
    first, second = read(one), read(other)
    return [name for name in first if first[name] != second[name]]
