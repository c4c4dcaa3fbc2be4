"""The released code's own training runs, step by step, through `train_step`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from emola_jax.experiment.state import GROUPS, TrainState, group_of
from emola_jax.training import loop
from emola_jax.training import optimiser as optim
from tests.parity import golden

RECORDED = golden.facts('training')
SETTINGS = {
    'clip0': optim.OptimiserConfig(),
    'clip1': optim.OptimiserConfig(clip_norm=1.0),
    'wd': optim.OptimiserConfig(weight_decay=0.1),
}
STEPS = 5

# Five steps move a weight by 3e-4 at most, and clipping or decay change that by a few 1e-6.
STEP_TOLERANCE = 5e-7


def run(name):
    """(trainables after each step, metrics of each step, first optimiser state) of our own run."""
    optimiser = optim.make_optimiser(SETTINGS[name], STEPS)
    trainable = jax.tree.map(jnp.asarray, golden.recorded('init'))
    state = TrainState(jnp.int32(0), trainable, optimiser.init(trainable))
    step = jax.jit(
        functools.partial(loop.train_step, model=golden.MODEL, optimiser=optimiser, loss_chunk=64),
        compiler_options={'xla_backend_optimization_level': 0},  # half the time to compile
    )
    states, metrics = [], []
    for number in range(STEPS):
        state, found = step(state, golden.frozen(), golden.batch(number), jax.random.key(0))
        states.append(state)
        metrics.append(found)
    return [flatten_dict(s.trainable) for s in states], metrics, states[0].opt_state


@pytest.fixture(scope='module')
def runs():
    return {name: run(name) for name in SETTINGS}


def expected_after(name, step):
    """What the reference recorded; its first update has rate zero, its last was saved."""
    if name != 'clip0':
        return flatten_dict(golden.recorded(name))
    if step == 1:
        return flatten_dict(golden.recorded('init'))
    return flatten_dict(golden.released() if step == STEPS else golden.recorded(f'after{step}'))


def test_the_trainable_set_is_the_recorded_one():
    recorded = {name.replace('.default', '') for name in RECORDED['trainable']}
    assert recorded == golden.places().keys()
    ours = {path for path in flatten_dict(golden.initial_params()) if group_of(path)}
    assert ours == {rule.ours for rule, _ in golden.places().values()}
    assert {group_of(path) for path in ours} == set(GROUPS)


def test_the_optimisers_groups_are_the_recorded_ones():
    labels = flatten_dict(optim.group_labels(golden.recorded('init')))
    config = SETTINGS['wd']
    decay = {'weights': 0.1, 'biases': 0.0, 'projector_weights': 0.1, 'projector_biases': 0.0}
    seen = []
    for position, group in enumerate(RECORDED['groups']):
        names = [name.replace('.default', '') for name in group['params']]
        (label,) = {labels[golden.places()[name][0].ours] for name in names}
        seen.append(label)
        assert group['weight_decay'] == decay[label]
        peak = config.projector_lr if label.startswith('projector') else config.lr
        rate = optim.schedule(config, peak, STEPS)
        recorded = [rates[position] for rates in RECORDED['lrs']]
        ours = [float(rate(jnp.asarray(count))) for count in range(STEPS)]
        np.testing.assert_allclose(ours, recorded, rtol=1e-5, atol=1e-12)
    assert sorted(seen) == sorted(decay)


def test_every_gradient(runs):
    """The first update leaves a tenth of the gradient in AdamW's first moment."""
    first_moment = {
        tuple(key.key for key in path if isinstance(key, jax.tree_util.DictKey))[1:]: leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(runs['clip0'][2])
        if jax.tree_util.GetAttrKey('mu') in path
    }
    expected = flatten_dict(golden.recorded('grad0'))
    assert first_moment.keys() == expected.keys()
    for path, theirs in expected.items():
        ours = np.asarray(first_moment[path]) / (1 - SETTINGS['clip0'].b1)
        assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs), path


@pytest.mark.parametrize('name', SETTINGS)
def test_losses_and_gradient_norms(runs, name):
    _, metrics, _ = runs[name]
    for key, recorded in RECORDED[name].items():
        ours = [float(found[key]) for found in metrics]
        np.testing.assert_allclose(ours, recorded, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('name', 'step'), [*(('clip0', step) for step in range(1, 6)), ('clip1', 5), ('wd', 5)]
)
def test_trainables_after_each_step(runs, name, step):
    ours, expected = runs[name][0][step - 1], expected_after(name, step)
    for path, theirs in expected.items():
        np.testing.assert_allclose(ours[path], theirs, rtol=0, atol=STEP_TOLERANCE, err_msg=path)


@pytest.mark.parametrize('name', ['clip1', 'wd'])
def test_the_tolerance_tells_clipping_and_decay_from_the_plain_run(name):
    plain, other = expected_after('clip0', STEPS), expected_after(name, STEPS)
    farthest = max(np.abs(plain[path] - other[path]).max() for path in plain)
    assert farthest > 4 * STEP_TOLERANCE
