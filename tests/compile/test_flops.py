"""The hand count against closed forms; tests/compile compares it with compiled programs."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from flax.traverse_util import unflatten_dict

from emola_jax.compile import flops
from emola_jax.compile.expert_flops import expert_flops
from emola_jax.experts.mesh import landmarks_of_crops
from emola_jax.models.config import LLAVA_1_5_7B, TINY, PriorConfig
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


def test_each_prior_costs_a_projector():
    one, none = step(TINY), step(TINY.replace(prior=PriorConfig(enabled=False)))
    two = step(TINY.replace(more_priors=(('second', PriorConfig()),)))
    assert two.projectors - one.projectors == one.projectors - none.projectors > 0
    assert (one.expert, two.expert) == (0, 0)


@pytest.mark.parametrize('side', [64, 128, 336])
def test_the_expert_costs_the_products_of_its_graph(side):
    images = jnp.zeros((1, side, side, 3), jnp.uint8)
    model = TINY.replace(prior=PriorConfig(source='image'))
    params = unflatten_dict(param_shapes(model))['landmark_expert']
    graph = jax.make_jaxpr(landmarks_of_crops)(params, images)
    # The averaging of overlapping boxes adds a few thousand products to 92 million.
    assert expert_flops(side) == pytest.approx(products(graph.jaxpr), rel=1e-3)
    assert step(model, segments=3).expert == 3 * 64 * expert_flops(28)


def products(graph):
    """Operations of the products and convolutions in a traced function, loops run once."""
    total = 0
    for equation in graph.eqns:
        shapes = [value.aval.shape for value in equation.invars if hasattr(value.aval, 'shape')]
        out = math.prod(equation.outvars[0].aval.shape)
        if equation.primitive.name == 'dot_general':
            (contracted, _), _ = equation.params['dimension_numbers']
            total += 2 * out * math.prod(shapes[0][axis] for axis in contracted)
        elif equation.primitive.name == 'conv_general_dilated':
            total += 2 * out * math.prod(shapes[1]) // shapes[1][-1]
        for inner in jax.core.jaxprs_in_params(equation.params):
            total += products(inner)
    return total


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
