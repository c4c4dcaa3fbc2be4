"""The way out of Linen (docs/decisions.md): Flax's bridge makes an NNX module of the whole model.

Everything is compared with what Linen does: paths, logical axes, logits, a training step.
"""

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict

from emola_jax.experiment import state
from emola_jax.models.config import TINY
from emola_jax.models.emola import Emola, abstract_params, example_batch
from tests.models.tiny import conversation, random_params, run

pytestmark = pytest.mark.usefixtures('compiled_quickly')

MODEL = Emola(TINY)
PARAMS = random_params(TINY)
BATCH = conversation(TINY, 9, seed=0)
TRAINABLE = nnx.All(nnx.Param, lambda path, _: state.group_of(path) is not None)
RATE = 0.1


@pytest.fixture
def module() -> nnx.bridge.ToNNX:
    """Emola as an NNX module that holds PARAMS."""

    def wrapped():
        return nnx.bridge.ToNNX(MODEL, rngs=nnx.Rngs(0)).lazy_init(example_batch(TINY))

    with nnx.use_eager_sharding(
        False
    ):  # axis names are logical here: `parallel.sharding` maps them
        made = nnx.eval_shape(wrapped)
    made.to_nnx__rngs = None  # abstract as the parameters were, and not needed any more
    nnx.update(made, PARAMS)
    return made


def loss_of(logits, batch):
    answer = batch['tokens'][:, -9:]
    return optax.softmax_cross_entropy_with_integer_labels(logits[:, -10:-1], answer).mean()


def test_parameters_have_linens_paths_shapes_and_logical_axes(module):
    variables = dict(nnx.to_flat_state(nnx.state(module, nnx.Param)))
    boxes = flatten_dict(abstract_params(TINY))
    assert variables.keys() == boxes.keys()
    for path, box in boxes.items():
        assert variables[path].shape == nn.unbox(box).shape, path
        assert variables[path].get_metadata()['out_sharding'] == box.names, path


def test_logits_are_linens_to_the_bit(module):
    logits = nnx.jit(lambda module, batch: module(batch))(module, BATCH)
    np.testing.assert_array_equal(logits, run(MODEL, PARAMS, BATCH))


def test_other_methods_of_the_model_are_reached_too(module):
    (token,) = nnx.jit(lambda module, batch: module(batch, method=Emola.prior_tokens))(
        module, BATCH
    )
    (expected,) = run(MODEL, PARAMS, BATCH, Emola.prior_tokens)
    np.testing.assert_array_equal(token, expected)


@jax.jit
def linen_step(params, batch):
    """One step of SGD on the trainables."""
    frozen, trainable = state.split(params)

    def loss(trainable):
        return loss_of(MODEL.apply({'params': state.merge(frozen, trainable)}, batch), batch)

    value, grads = jax.value_and_grad(loss)(trainable)
    stepped = jax.tree.map(lambda leaf, grad: leaf - RATE * grad, trainable, grads)
    return value, state.merge(frozen, stepped)


@nnx.jit
def nnx_step(module, optimizer, batch):
    """The same with NNX's own transforms."""

    def loss(module):
        return loss_of(module(batch), batch)

    value, grads = nnx.value_and_grad(loss, argnums=nnx.DiffState(0, TRAINABLE))(module)
    optimizer.update(module, grads)
    return value


def test_a_training_step_moves_the_trainables_as_linens_does_and_nothing_else(module):
    optimizer = nnx.Optimizer(module, optax.sgd(RATE), wrt=TRAINABLE)
    before = float(nnx_step(module, optimizer, BATCH))
    expected_loss, expected = linen_step(PARAMS, BATCH)
    assert before == float(expected_loss)
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    started, found = flatten_dict(PARAMS), flatten_dict(params)
    assert len(found) == len(started)
    for path, value in flatten_dict(expected).items():
        np.testing.assert_allclose(found[path], value, rtol=1e-6, atol=1e-7, err_msg=str(path))
        moved = not np.array_equal(found[path], started[path])
        assert moved == (state.group_of(path) is not None), path
    assert float(nnx_step(module, optimizer, BATCH)) < before
