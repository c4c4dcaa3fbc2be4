import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emola_jax.models.config import TINY, LoraConfig
from emola_jax.models.emola import Emola
from emola_jax.models.lora import LoraDense, low_rank, merge_lora
from tests.models.tiny import conversation, random_params, run

pytestmark = pytest.mark.usefixtures('compiled_quickly')

RNG = np.random.default_rng(0)
PARAMS = {
    'kernel': RNG.normal(size=(6, 5)).astype(np.float32),
    'lora_a': RNG.normal(size=(6, 2)).astype(np.float32),
    'lora_b': RNG.normal(size=(2, 5)).astype(np.float32),
}
X = RNG.normal(size=(4, 6)).astype(np.float32)


def dense(dropout=0.0):
    return LoraDense(5, ('embed', 'mlp'), LoraConfig(rank=2, alpha=3.0, dropout=dropout))


def test_output_is_the_formula():
    a, b = PARAMS['lora_a'], PARAMS['lora_b']
    expected = X @ PARAMS['kernel'] + 3.0 / 2 * X @ a @ b
    np.testing.assert_allclose(dense().apply({'params': PARAMS}, X), expected, rtol=1e-4)


@pytest.mark.parametrize('rows', [(4,), (2, 3)])
def test_gradients_are_those_of_the_plain_product(rows):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(*rows, 6)).astype(np.float32)
    target = rng.normal(size=(*rows, 5)).astype(np.float32)
    factors = (x, PARAMS['lora_a'], PARAMS['lora_b'])
    ours = jax.grad(lambda x, a, b: (low_rank(x, a, b) * target).sum(), argnums=(0, 1, 2))(*factors)
    plain = jax.grad(lambda x, a, b: (x @ a @ b * target).sum(), argnums=(0, 1, 2))(*factors)
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_new_adapter_changes_nothing():
    params = nn.unbox(dense().init(jax.random.key(0), X))['params']
    np.testing.assert_array_equal(dense().apply({'params': params}, X), X @ params['kernel'])


def test_a_starts_uniform_within_one_over_root_of_inputs():
    layer = LoraDense(8, ('embed', 'mlp'), LoraConfig(rank=64))
    a = nn.unbox(layer.init(jax.random.key(0), np.zeros((1, 400), np.float32)))['params']['lora_a']
    bound = 1 / np.sqrt(400)
    assert np.abs(a).max() <= bound
    assert np.abs(a).max() > 0.99 * bound
    np.testing.assert_allclose(a.std(), bound / np.sqrt(3), rtol=0.02)


def test_dropout_acts_on_the_adapters_input_alone():
    zero_b = {**PARAMS, 'lora_b': np.zeros((2, 5), np.float32)}
    rngs = {'dropout': jax.random.key(0)}
    out = dense(0.5).apply({'params': zero_b}, X, False, rngs=rngs)
    np.testing.assert_array_equal(out, X @ PARAMS['kernel'])
    # With an identity as A and B the adapter's output is the dropped input itself.
    eye = {'kernel': np.zeros((6, 6), np.float32), 'lora_a': np.eye(6), 'lora_b': np.eye(6)}
    layer = LoraDense(6, ('embed', 'mlp'), LoraConfig(rank=6, alpha=6.0, dropout=0.5))
    ones = np.ones((500, 6), np.float32)
    out = np.asarray(layer.apply({'params': eye}, ones, False, rngs=rngs))
    assert set(np.unique(out)) == {0.0, 2.0}
    np.testing.assert_allclose(out.mean(), 1.0, atol=0.1)
    np.testing.assert_array_equal(layer.apply({'params': eye}, ones, True), ones)


@pytest.mark.parametrize('targets', [('q', 'v'), TINY.lora.targets])
def test_a_merged_model_has_no_adapters_and_the_same_logits(targets):
    cfg = TINY.replace(lora=LoraConfig(rank=4, alpha=8.0, dropout=0.3, targets=targets))
    params = random_params(cfg)
    batch = conversation(cfg, 12, seed=0)
    model, merged = merge_lora(Emola(cfg), params)
    names = {path[-1].key for path, _ in jax.tree_util.tree_leaves_with_path(merged)}
    assert not names & {'lora_a', 'lora_b'}
    assert model.cfg.lora is None
    before = run(Emola(cfg), params, batch)
    np.testing.assert_allclose(run(model, merged, batch), before, atol=2e-5)
    without = run(model, {**merged, 'llm': _without_lora(params['llm'])}, batch)
    assert not np.allclose(without, before, atol=1e-2)


def _without_lora(tree):
    return {
        name: _without_lora(value) if isinstance(value, dict) else value
        for name, value in tree.items()
        if name not in ('lora_a', 'lora_b')
    }


def test_merging_keeps_the_kernels_dtype_and_rounds_once():
    cfg = TINY.replace(param_dtype='bfloat16')
    params = random_params(cfg)
    layer = params['llm']['layers']['q']
    exact = layer['kernel'] + cfg.lora.scale * layer['lora_a'] @ layer['lora_b']
    half = {**layer, 'kernel': jnp.asarray(layer['kernel'], jnp.bfloat16)}
    params['llm']['layers']['q'] = half
    kernel = merge_lora(Emola(cfg), params)[1]['llm']['layers']['q']['kernel']
    assert kernel.dtype == jnp.bfloat16
    np.testing.assert_allclose(kernel.astype(np.float32), exact, rtol=2**-6, atol=2**-8)
