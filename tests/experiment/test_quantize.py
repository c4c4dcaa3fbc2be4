"""A run on a quantised base: what is stored, what is computed, what trains."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from emola_jax.config.quantize import PRESETS, quantization
from emola_jax.config.sections import BaseConfig
from emola_jax.errors import UserError
from emola_jax.experiment import base as bases
from emola_jax.experiment import quantize
from emola_jax.experiment import state as train_state
from emola_jax.experiment.state import TrainState
from emola_jax.generation.generate import generate
from emola_jax.models.config import LLAVA_1_5_7B, SMOLLM2_135M, EmolaConfig, QuantConfig
from emola_jax.models.emola import Emola, unroll
from emola_jax.models.lora import dequantize_params, merge_lora
from emola_jax.ops import quant
from emola_jax.ops.quant import Quantized
from emola_jax.parallel import sharding
from emola_jax.training import loop
from emola_jax.weights import lazy
from tests.models.tiny import conversation, pad_left, random_params, run
from tests.tiny_experiment import MODEL, tiny_config
from tests.training.test_loop import mesh, micro_batches

pytestmark = pytest.mark.usefixtures('compiled_quickly')

KINDS = [
    QuantConfig('int8', 'int8', 'int8', block=16),
    QuantConfig('nf4', 'nf4', 'nf4', block=16),
    QuantConfig('nf4', 'int8', None, block=16),
]


@functools.cache
def base():
    frozen, _ = train_state.split(random_params(MODEL))
    return bases.Base(frozen, 'x', 'x')


@functools.cache
def quantized(kinds, shape=(1, 1, 1)):
    """(model, its parameters), with adapters that are not zero."""
    model = MODEL.replace(quantize=kinds)
    frozen, _ = bases.place(model, base(), mesh(shape), seed=0)
    _, trainable = train_state.split(random_params(MODEL, seed=1))
    return model, train_state.merge(frozen, trainable)


@pytest.mark.parametrize('kinds', KINDS)
def test_the_model_computes_with_the_matrices_that_its_codes_stand_for(kinds):
    model, params = quantized(kinds)
    batch = conversation(MODEL, 12, seed=0)
    ours = run(Emola(model), params, batch)
    theirs = run(Emola(MODEL), dequantize_params(params, 'float32'), batch)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    originals = train_state.merge(base().params, train_state.split(params)[1])
    exact = run(Emola(MODEL), originals, batch)
    assert np.abs(np.asarray(theirs) - exact).max() > 1e-3


def gradients(model, params, batch):
    frozen, trainable = train_state.split(params)

    def loss(trainable):
        logits = Emola(model).apply({'params': train_state.merge(frozen, trainable)}, batch)
        return (jax.nn.log_softmax(logits)[:, :, 7] * jnp.arange(logits.shape[1])).mean()

    return jax.jit(jax.value_and_grad(loss))(trainable)


@pytest.mark.parametrize(('kinds', 'remat'), [(KINDS[0], 'none'), (KINDS[1], 'full')])
def test_adapters_get_the_gradient_of_the_dequantised_model(kinds, remat):
    model, params = quantized(kinds)
    batch = conversation(MODEL, 12, seed=0)
    loss, ours = gradients(model.replace(remat=remat), params, batch)
    expected, theirs = gradients(MODEL, dequantize_params(params, 'float32'), batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    for path, leaf in flatten_dict(theirs).items():
        distance = np.linalg.norm(flatten_dict(ours)[path] - leaf) / np.linalg.norm(leaf)
        assert distance < 1e-5, path


def test_answers_are_those_of_the_dequantised_weights_merged_or_not():
    model, params = quantized(KINDS[2])
    prompts = pad_left([conversation(MODEL, n, seed=n) for n in (5, 9)])
    settings = {'max_new_tokens': 6, 'eos_id': 2}
    expected = generate(Emola(MODEL), dequantize_params(params, 'float32'), prompts, **settings)
    np.testing.assert_array_equal(generate(Emola(model), params, prompts, **settings), expected)
    merged, whole = merge_lora(Emola(model), params)
    assert (merged.cfg.lora, merged.cfg.quantize) == (None, None)
    np.testing.assert_array_equal(generate(merged, whole, prompts, **settings), expected)
    loose = unroll(Emola(model), params)
    np.testing.assert_array_equal(generate(*loose, prompts, **settings), expected)


def one_step(kinds, shape, **options):
    model, params = quantized(kinds, shape)
    frozen, trainable = train_state.split(params)
    descent = optax.sgd(1.0)
    step = jax.jit(
        functools.partial(
            loop.train_step, model=Emola(model), optimiser=descent, loss_chunk=32, **options
        )
    )
    state = TrainState(np.int32(0), trainable, descent.init(trainable))
    batch = sharding.shard_batch(micro_batches(), mesh(shape))
    return step, (state, frozen, batch, jax.random.key(0))


@pytest.mark.parametrize('kinds', KINDS[:2])
def test_eight_devices_step_as_one_and_hold_their_share(kinds):
    kinds = dataclasses.replace(kinds, vision=None)  # whose 16 channels are one block
    step, inputs = one_step(kinds, (2, 2, 2))
    alone, single = one_step(kinds, (1, 1, 1))
    codes = inputs[1]['llm']['layers']['gate']['kernel'].codes
    assert codes.addressable_shards[0].data.size == codes.size // 4
    for ours, theirs in zip(jax.tree.leaves(inputs[1]), jax.tree.leaves(single[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (state, metrics), (expected, wanted) = step(*inputs), alone(*single)
    np.testing.assert_allclose(metrics['loss'], wanted['loss'], rtol=1e-5)
    for ours, theirs in zip(
        jax.tree.leaves(state.trainable), jax.tree.leaves(expected.trainable), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_no_step_holds_the_dequantised_layers_together():
    cfg = MODEL.replace(llm=dataclasses.replace(MODEL.llm, layers=5))
    shapes = {}
    for kinds in (None, KINDS[0]):
        abstract = sharding.unbox(bases.abstract_params(cfg.replace(quantize=kinds)))
        frozen, trainable = train_state.split(abstract)
        descent = optax.sgd(1.0)
        state = TrainState(
            jax.ShapeDtypeStruct((), jnp.int32), trainable, jax.eval_shape(descent.init, trainable)
        )
        step = jax.jit(
            functools.partial(
                loop.train_step,
                model=Emola(cfg.replace(quantize=kinds)),
                optimiser=descent,
                loss_chunk=32,
            )
        )
        text = step.lower(state, frozen, micro_batches(), jax.random.key(0)).compile().as_text()
        shapes[kinds] = set(re.findall(r'f32\[5,(\d+,\d+)\]', text))
    stacks = {'32,32', '32,64', '64,32'}
    assert stacks <= shapes[None]
    assert not stacks & shapes[KINDS[0]]


@pytest.mark.parametrize('kinds', KINDS[:2])
def test_nothing_quantised_is_trained(kinds):
    model = MODEL.replace(quantize=kinds)
    frozen, trainable = bases.place(model, base(), mesh((1, 1, 1)), seed=0)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(trainable))
    _, plain = bases.place(MODEL, base(), mesh((1, 1, 1)), seed=0)
    assert jax.tree.structure(plain) == jax.tree.structure(trainable)
    jax.tree.map(np.testing.assert_array_equal, trainable, plain)
    assert isinstance(frozen['llm']['layers']['q']['kernel'], Quantized)


def test_a_base_is_read_one_layer_at_a_time():
    layers, asked = 3, []
    whole = random_params(MODEL)['llm']['layers']['q']['kernel']
    whole = np.concatenate([whole, whole[:1]])

    def read(index):
        asked.append(index[0])
        return whole[index]

    value = lazy.Lazy(whole.shape, whole.dtype, read)
    abstract = jax.eval_shape(lambda: quant.quantize(jnp.zeros(whole.shape), 'nf4'))
    everywhere = sharding.replicated(mesh((1, 1, 1)))
    placed = quantize.place(value, abstract, Quantized(*[everywhere] * 3))
    assert [(at.start, at.stop) for at in asked] == [(i, i + 1) for i in range(layers)]
    for ours, theirs in zip(placed, quant.quantize(whole, 'nf4'), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_mesh_axis_that_cuts_a_block_is_refused_by_name():
    kinds = dataclasses.replace(KINDS[0], block=32)
    with pytest.raises(UserError, match=r"'q'.*scales.*'embed' of 1 is not divisible by the 2"):
        bases.place(MODEL.replace(quantize=kinds), base(), mesh((1, 2, 1)), seed=0)


def test_a_dimension_without_blocks_is_refused_by_name():
    odd = MODEL.replace(llm=dataclasses.replace(MODEL.llm, mlp=40), quantize=KINDS[0])
    with pytest.raises(UserError, match='down/kernel: a dimension of 40 cannot be cut'):
        bases.abstract_params(odd)


@pytest.mark.parametrize('model', [LLAVA_1_5_7B, SMOLLM2_135M], ids=['llava-7b', 'smollm2'])
@pytest.mark.parametrize(('preset', 'share'), [('int8', 0.52), ('nf4', 0.30), ('nf4_fine', 0.30)])
def test_bytes_of_the_frozen_base_beside_bfloat16(model, preset, share):
    half = quantize.frozen_bytes(model.replace(param_dtype='bfloat16'))
    small = quantize.frozen_bytes(model.replace(quantize=PRESETS[preset]))
    assert small <= share * half


def test_a_config_asks_by_name_or_by_field():
    assert quantization(None) is None
    assert quantization('nf4') == PRESETS['nf4']
    asked = quantization({'layers': 'int8', 'block': 32})
    assert asked == QuantConfig(layers='int8', block=32)


@pytest.mark.parametrize(
    ('asked', 'message'),
    [
        ('int4', "'int4'; expected None or one of"),
        (4, 'expected a name or fields'),
        ({'layers': 'fp8'}, "quantize.layers 'fp8' must be None or one of"),
        ({'layer': 'int8'}, 'quantize.layer'),
        ({'block': 48}, 'quantize.block 48'),
    ],
)
def test_what_cannot_be_asked_is_refused(asked, message):
    with pytest.raises(UserError, match=re.escape(message)):
        quantization(asked)


def on_base(kinds):
    return dataclasses.replace(tiny_config(), base=BaseConfig('random', quantize=kinds))


def test_the_fingerprint_knows_of_the_quantisation_and_the_weights_stay_original():
    loaded = {
        name: bases.load(on_base(quantization(name)), MODEL, None, None)
        for name in (None, 'int8', 'nf4')
    }
    assert len({found.fingerprint for found in loaded.values()}) == 3
    assert loaded[None].fingerprint == bases.random_base(MODEL, 0).fingerprint
    jax.tree.map(np.testing.assert_array_equal, loaded['nf4'].params, loaded[None].params)


def test_a_model_config_with_quantisation_survives_a_config_dict():
    model = MODEL.replace(quantize=KINDS[2])
    assert EmolaConfig.from_config_dict(ml_collections.ConfigDict(model.to_dict())) == model
