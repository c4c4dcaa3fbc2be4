"""The hand count against closed forms; tests/compile compares it with compiled programs."""

import dataclasses

import jax
import pytest

from emola_jax import flops
from emola_jax.models.config import LLAVA_1_5_7B, TINY
from emola_jax.models.emola import param_shapes


def step(config=LLAVA_1_5_7B, **changes):
    return flops.train_flops(config, **{'rows': 64, 'length': 2048, 'trained': 256, **changes})


def test_n_is_the_number_of_parameters_in_the_kernels():
    kernels = sum(
        leaf.size
        for path, leaf in param_shapes(LLAVA_1_5_7B).items()
        if path[:2] == ('llm', 'layers') and path[-1] == 'kernel'
    )
    assert flops.llm_parameters(LLAVA_1_5_7B.llm) == kernels


def test_the_frozen_base_costs_four_n_a_token():
    assert step().base == 4 * flops.llm_parameters(LLAVA_1_5_7B.llm) * 64 * 2048


def test_adapters_cost_six_of_their_parameters_a_token():
    adapters = sum(
        leaf.size for path, leaf in param_shapes(LLAVA_1_5_7B).items() if 'lora_' in path[-1]
    )
    assert step().lora == 6 * adapters * 64 * 2048


def test_only_the_layers_of_the_tower_that_are_used_count():
    shorter = dataclasses.replace(LLAVA_1_5_7B.vision, feature_layer=11)
    assert step(LLAVA_1_5_7B.replace(vision=shorter)).vision == pytest.approx(
        step().vision * 11 / 23, rel=0.01
    )
    assert step(segments=3).vision == 3 * step().vision


def test_attention_grows_with_the_square_of_the_length():
    assert step(length=4096).attention == 4 * step().attention


def test_remat_costs_less_than_another_forward_pass():
    full, none = step(), step(LLAVA_1_5_7B.replace(remat='none'))
    assert none.remat == 0
    assert none.model == full.model
    assert 0.8 < full.remat / (full.base / 2 + full.lora / 3 + full.attention / 3) < 1


def test_everything_adds_up():
    parts = step(tensor=4)
    assert parts.total == pytest.approx(sum(dataclasses.asdict(parts).values()))
    assert parts.model == step().model
    assert parts.replicated > 0


def test_a_forward_pass_is_what_xla_counts_without_loops():
    """XLA counts more than products, at this size a few per cent more."""
    from emola_jax.models.emola import Emola, example_batch

    config = TINY.replace(scan=False, lora=None, vision=None)
    params = jax.eval_shape(Emola(config).init, jax.random.key(0), example_batch(config))
    compiled = jax.jit(Emola(config).apply).lower(params, example_batch(config, rows=8)).compile()
    length = config.visual_tokens + 1
    by_hand = flops.prefill_flops(config, rows=8, length=length)
    head = 2 * config.llm.width * config.llm.vocab * 8 * (length - 1)  # of the other positions
    assert compiled.cost_analysis()['flops'] == pytest.approx(by_hand.total + head, rel=0.25)
