"""LLaVA's original layout and CLIP, written by transformers and torch, read by us."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from emola_jax.errors import UserError
from emola_jax.formats import llava
from emola_jax.models.config import EmolaConfig, VisionConfig
from emola_jax.models.config import LlamaConfig as OurLlama
from emola_jax.models.emola import Emola

MODEL = EmolaConfig(
    vision=VisionConfig(image_size=28, patch_size=14, width=16, layers=3, heads=2, mlp=32),
    llm=OurLlama(vocab=60, width=24, layers=2, heads=4, kv_heads=2, head_dim=6, mlp=40),
)


@pytest.fixture(scope='module')
def theirs():
    torch.manual_seed(0)
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=60,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            rms_norm_eps=1e-5,
        )
    ).eval()
    clip = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
        )
    ).eval()
    return llama, clip


def llava_state(llama):
    state = dict(llama.state_dict())
    state['model.layers.0.self_attn.rotary_emb.inv_freq'] = torch.ones(3)
    for number, inputs in ((0, 16), (2, 24)):
        state[f'model.mm_projector.{number}.weight'] = torch.randn(24, inputs)
        state[f'model.mm_projector.{number}.bias'] = torch.randn(24)
    return state


def clip_state(clip):
    state = dict(clip.state_dict())
    if not next(iter(state)).startswith('vision_model.'):
        state = {f'vision_model.{name}': tensor for name, tensor in state.items()}
    return state | {'logit_scale': torch.ones(()), 'text_model.x': torch.ones(2)}


def write(folder, llava_tensors, clip_tensors):
    (folder / 'llava').mkdir(parents=True)
    (folder / 'clip').mkdir()
    names = sorted(llava_tensors)
    for part, some in enumerate((names[:9], names[9:])):
        torch.save(
            {name: llava_tensors[name].clone() for name in some},
            folder / 'llava' / f'pytorch_model-{part + 1:05d}-of-00002.bin',
        )
    save_file(
        {name: tensor.clone() for name, tensor in clip_tensors.items()},
        folder / 'clip' / 'model.safetensors',
    )
    return folder / 'llava', folder / 'clip'


def test_what_is_read_computes_what_transformers_computes(theirs, tmp_path):
    llama, clip = theirs
    folders = write(tmp_path, llava_state(llama), clip_state(clip))
    params = jax.tree.map(lambda leaf: leaf.whole(), llava.read_base(*folders, MODEL))
    ids = np.arange(12).reshape(1, 12) * 4
    text_only = EmolaConfig(
        vision=None, llm=MODEL.llm, lora=None, prior=MODEL.prior.__class__(enabled=False)
    )
    batch = {
        'tokens': jnp.asarray(ids),
        'positions': jnp.arange(12)[None],
        'segment_ids': jnp.ones((1, 12), jnp.int32),
    }
    ours = Emola(text_only).apply({'params': {'llm': params['llm']}}, batch)
    with torch.no_grad():
        expected = llama(torch.tensor(ids)).logits.numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-5)

    pixels = np.random.default_rng(0).normal(size=(2, 28, 28, 3)).astype(np.float32)
    from emola_jax.models.clip_vit import ClipVit

    features = ClipVit(MODEL.vision).apply({'params': params['vision']}, pixels)
    with torch.no_grad():
        states = clip(
            torch.tensor(pixels.transpose(0, 3, 1, 2)), output_hidden_states=True
        ).hidden_states
    np.testing.assert_allclose(features, states[-2][:, 1:].numpy(), atol=1e-5)


def broken(change):
    def apply(llava_tensors, clip_tensors):
        change(llava_tensors, clip_tensors)
        return llava_tensors, clip_tensors

    return apply


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (lambda a, b: a.pop('model.norm.weight'), 'model.norm.weight: missing'),
        (lambda a, b: a.update(extra=torch.ones(1)), 'extra: the model has no place for it'),
        (
            lambda a, b: a.update(
                {'lm_head.weight': torch.ones(24, 60), 'model.mm_projector.0.bias': torch.ones(7)}
            ),
            r'lm_head.weight: has shape \(24, 60\), expected \(60, 24\)\n.*mm_projector.0.bias',
        ),
        (
            lambda a, b: b.pop('vision_model.encoder.layers.1.mlp.fc1.bias'),
            'vision_model.encoder.layers.1.mlp.fc1.bias: missing',
        ),
    ],
)
def test_what_does_not_fit_is_named(theirs, tmp_path, change, named):
    llama, clip = theirs
    tensors = llava_state(llama), clip_state(clip)
    change(*tensors)
    with pytest.raises(UserError, match=named):
        llava.read_base(*write(tmp_path, *tensors), MODEL)


@pytest.mark.parametrize(
    'name', ['llava/pytorch_model-00002-of-00002.bin', 'clip/model.safetensors']
)
def test_a_truncated_file_is_named(theirs, tmp_path, name):
    llama, clip = theirs
    folders = write(tmp_path, llava_state(llama), clip_state(clip))
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=path.name):
        llava.read_base(*folders, MODEL)


def test_missing_folders_are_named_with_where_they_come_from(tmp_path):
    lines = llava.missing(tmp_path / 'a', tmp_path / 'b')
    assert len(lines) == 3
    assert 'liuhaotian/llava-v1.5-7b' in lines[0]
    assert 'openai/clip-vit-large-patch14-336' in lines[1]
    assert 'tokenizer' in lines[2]


def test_the_identity_changes_with_the_weights(theirs, tmp_path):
    llama, clip = theirs
    state = llava_state(llama)
    first = llava.identity(*write(tmp_path / '1', state, clip_state(clip)))
    state['model.norm.weight'] = state['model.norm.weight'] + 1
    second = llava.identity(*write(tmp_path / '2', state, clip_state(clip)))
    assert first != second
