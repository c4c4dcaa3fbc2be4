import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers import LlamaConfig as HfConfig
from transformers import LlamaForCausalLM

from emola_jax.errors import UserError
from emola_jax.experiment import state as train_state
from emola_jax.models.config import LORA_TARGETS, REMAT_POLICIES, LoraConfig
from emola_jax.models.emola import Emola, restack_params, unroll
from emola_jax.models.layers import REMAT, stack_layers
from emola_jax.parallel import cpu_compiler
from emola_jax.training.loss import next_token_loss
from tests.models.tiny import TEXT_ONLY, conversation, random_params, run

pytestmark = pytest.mark.usefixtures('compiled_quickly')


def hugging_face(cfg, params):
    """A LlamaForCausalLM that carries our parameters."""
    llm = cfg.llm
    model = LlamaForCausalLM(
        HfConfig(
            vocab_size=llm.vocab,
            hidden_size=llm.width,
            num_hidden_layers=llm.layers,
            num_attention_heads=llm.heads,
            num_key_value_heads=llm.kv_heads,
            head_dim=llm.head_dim,
            intermediate_size=llm.mlp,
            rms_norm_eps=llm.norm_eps,
            rope_theta=llm.rope_theta,
            tie_word_embeddings=llm.tied_embeddings,
            attn_implementation='eager',
        )
    ).eval()
    names = {
        'q': 'self_attn.q_proj',
        'k': 'self_attn.k_proj',
        'v': 'self_attn.v_proj',
        'o': 'self_attn.o_proj',
        'gate': 'mlp.gate_proj',
        'up': 'mlp.up_proj',
        'down': 'mlp.down_proj',
        'attention_norm': 'input_layernorm',
        'mlp_norm': 'post_attention_layernorm',
    }
    state = {
        'model.embed_tokens.weight': params['embed'],
        'model.norm.weight': params['norm']['scale'],
    }
    state['lm_head.weight'] = params['embed'] if llm.tied_embeddings else params['head'].T
    for ours, theirs in names.items():
        ((kind, stacked),) = params['layers'][ours].items()
        for layer, weight in enumerate(stacked):
            state[f'model.layers.{layer}.{theirs}.weight'] = (
                weight.T if kind == 'kernel' else weight
            )
    model.load_state_dict({name: torch.tensor(np.array(w)) for name, w in state.items()})
    return model


@pytest.mark.parametrize('tied', [False, True])
@pytest.mark.parametrize('kv_heads', [1, 2, 4])
def test_logits_are_hugging_faces(tied, kv_heads):
    llm = dataclasses.replace(
        TEXT_ONLY.llm, tied_embeddings=tied, kv_heads=kv_heads, rope_theta=500.0, norm_eps=1e-3
    )
    cfg = TEXT_ONLY.replace(llm=llm)
    params = random_params(cfg)
    batch = conversation(cfg, 20, seed=1)
    with torch.no_grad():
        theirs = hugging_face(cfg, params['llm'])(torch.tensor(batch['tokens'].astype(int))).logits
    ours = run(Emola(cfg), params, batch)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)


class TorchLora(torch.nn.Module):
    """W x + alpha/rank B A x, with our factors as parameters."""

    def __init__(self, linear, a, b, scale):
        super().__init__()
        self.linear, self.scale = linear, scale
        self.a = torch.nn.Parameter(torch.tensor(np.array(a)))
        self.b = torch.nn.Parameter(torch.tensor(np.array(b)))

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.a @ self.b)


def with_lora(model, layers, scale):
    """Puts our adapters into Hugging Face's model; returns them as {(name, layer): module}."""
    adapters = {}
    for name in LORA_TARGETS:
        for index, layer in enumerate(model.model.layers):
            block = layer.self_attn if name in 'qkvo' else layer.mlp
            factors = (layers[name][side][index] for side in ('lora_a', 'lora_b'))
            adapter = TorchLora(getattr(block, f'{name}_proj'), *factors, scale)
            setattr(block, f'{name}_proj', adapter)
            adapters[name, index] = adapter
    return adapters


@pytest.mark.parametrize(('tied', 'kv_heads'), [(True, 2), (False, 1), (False, 4)])
def test_adapters_gradients_are_hugging_faces(tied, kv_heads):
    """Grouped heads and tied embeddings; the rest of the gradients' path is the golden run's."""
    llm = dataclasses.replace(TEXT_ONLY.llm, tied_embeddings=tied, kv_heads=kv_heads)
    cfg = TEXT_ONLY.replace(llm=llm, lora=LoraConfig(rank=3, alpha=4.5, dropout=0.0))
    params, batch = random_params(cfg), conversation(cfg, 20, seed=1)
    targets = np.roll(batch['tokens'], -1, axis=1)
    weights = np.ones_like(targets, np.float32)
    weights[:, -1] = 0
    frozen, trainable = train_state.split(params)

    @jax.jit
    @jax.value_and_grad
    def ours(trainable):
        logits = Emola(cfg).apply({'params': train_state.merge(frozen, trainable)}, batch)
        return next_token_loss(logits, targets, weights)

    loss, gradients = ours(trainable)
    model = hugging_face(cfg, frozen['llm'])
    adapters = with_lora(model, params['llm']['layers'], cfg.lora.scale)
    tokens = torch.tensor(batch['tokens'].astype(int))
    theirs = model(tokens, labels=tokens).loss
    theirs.backward()
    np.testing.assert_allclose(loss, theirs.item(), rtol=1e-5)
    for (name, index), adapter in adapters.items():
        for side, expected in (('lora_a', adapter.a.grad), ('lora_b', adapter.b.grad)):
            found = gradients['llm']['layers'][name][side][index]
            distance = np.linalg.norm(found - expected.numpy()) / np.linalg.norm(expected)
            assert distance < 1e-4, (name, index, side)


def loss(cfg, params, batch):
    rngs = {'dropout': jax.random.key(1)}
    return Emola(cfg).apply({'params': params}, batch, False, rngs=rngs)[:, -3:].std()


@pytest.mark.parametrize('scan', [True, False])
@pytest.mark.parametrize('remat', [name for name in REMAT if name != 'none'])
def test_remat_and_unrolling_change_neither_value_nor_gradient(scan, remat):
    params = random_params(TEXT_ONLY)
    batch = conversation(TEXT_ONLY, 9, seed=2)
    value, grads = jax.value_and_grad(lambda p: loss(TEXT_ONLY, p, batch))(params)
    cfg = TEXT_ONLY.replace(scan=scan, remat=remat)
    given = params if scan else unroll(Emola(TEXT_ONLY), params)[1]
    other_value, other = jax.value_and_grad(lambda p: loss(cfg, p, batch))(given)
    if not scan:
        other['llm']['layers'] = stack_layers(other['llm']['layers'])
    np.testing.assert_allclose(other_value, value, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), other, grads)


def test_a_policy_that_nobody_knows_is_refused_with_the_list_of_those_there_are():
    assert tuple(REMAT) == REMAT_POLICIES
    with pytest.raises(UserError) as raised:
        TEXT_ONLY.replace(remat='some')
    assert all(f"'{name}'" in str(raised.value) for name in REMAT)


def test_policies_keep_less_or_more_for_the_backward_pass():
    batch = conversation(TEXT_ONLY, 60, seed=3)
    params = random_params(TEXT_ONLY)

    def residuals(remat):
        _, pullback = jax.vjp(lambda p: loss(TEXT_ONLY.replace(remat=remat), p, batch), params)
        return sum(leaf.size for leaf in jax.tree.leaves(pullback))

    assert residuals('full') < residuals('attention') < residuals('dots')
    assert residuals('dots') < residuals('all_dots') < residuals('none')


def test_policies_keep_less_of_unrolled_layers_in_a_program_for_cpus():
    """XLA does not merge what is computed again with what it was computed from."""
    llm = dataclasses.replace(TEXT_ONLY.llm, layers=6)
    cfg = TEXT_ONLY.replace(llm=llm, scan=False)
    batch = conversation(cfg, 200, seed=3)
    params = random_params(cfg)

    def temporaries(remat):
        gradient = jax.jit(
            jax.grad(lambda p: loss(cfg.replace(remat=remat), p, batch)),
            compiler_options=cpu_compiler.known(cpu_compiler.KEEPS_BARRIERS),
        )
        return gradient.lower(params).compile().memory_analysis().temp_size_in_bytes

    none, dots, full = map(temporaries, ('none', 'dots', 'full'))
    assert dots < 0.8 * none and full < 0.5 * none, (none, dots, full)


def test_unroll_then_stack_is_the_identity():
    params = random_params(TEXT_ONLY)
    model, loose = unroll(Emola(TEXT_ONLY), params)
    assert not model.cfg.scan
    jax.tree.map(np.testing.assert_array_equal, restack_params(loose), params)


def test_bfloat16_computes_in_bfloat16_but_gives_float32_logits():
    cfg = TEXT_ONLY.replace(dtype='bfloat16', param_dtype='bfloat16')
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), random_params(cfg))
    batch = conversation(cfg, 20, seed=1)
    model = Emola(cfg)
    assert model.apply({'params': params}, batch, method=Emola.hidden).dtype == jnp.bfloat16
    logits = model.apply({'params': params}, batch)
    exact = Emola(TEXT_ONLY).apply(
        {'params': jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)}, batch
    )
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, exact, atol=0.1 * float(jnp.abs(exact).max()))


def test_scanned_layers_are_initialised_apart():
    batch = conversation(TEXT_ONLY, 3, seed=0)
    params = nn.unbox(Emola(TEXT_ONLY).init(jax.random.key(0), batch))['params']
    kernel = params['llm']['layers']['q']['kernel']
    assert not np.allclose(kernel[0], kernel[1])
