"""The released PyTorch code's forward pass, recorded at a tiny size in float32.

`tests/golden/forward.npz` holds its weights (base, CLIP tower, LoRA with a B that isn't zero,
both projectors), one batch and what it computed: projections, some embeddings and logits, loss.
"""

from pathlib import Path

import numpy as np
import pytest

from emola_jax.models.config import (
    VISUAL_TOKEN,
    EmolaConfig,
    LlamaConfig,
    LoraConfig,
    VisionConfig,
)
from emola_jax.models.emola import Emola
from emola_jax.models.face_prior import FacePrior
from tests.models.tiny import run

CFG = EmolaConfig(
    vision=VisionConfig(image_size=56, patch_size=14, width=32, layers=4, heads=4, mlp=128),
    llm=LlamaConfig(vocab=512, width=64, layers=3, heads=4, kv_heads=4, head_dim=16, mlp=172),
    lora=LoraConfig(rank=8, alpha=16.0, dropout=0.0),
)
MODEL = Emola(CFG)
_IMAGE_TOKEN, _IGNORED = -200, -100
_LLM = {
    'q': 'self_attn.q_proj',
    'k': 'self_attn.k_proj',
    'v': 'self_attn.v_proj',
    'o': 'self_attn.o_proj',
    'gate': 'mlp.gate_proj',
    'up': 'mlp.up_proj',
    'down': 'mlp.down_proj',
}
_CLIP = {
    'q': 'self_attn.q_proj',
    'k': 'self_attn.k_proj',
    'v': 'self_attn.v_proj',
    'o': 'self_attn.out_proj',
    'fc_1': 'mlp.fc1',
    'fc_2': 'mlp.fc2',
}


@pytest.fixture(scope='module')
def golden():
    with np.load(Path(__file__).parent.parent / 'golden' / 'forward.npz') as file:
        return dict(file)


@pytest.fixture(scope='module')
def params(golden):
    return {
        'vision': _vision(golden),
        'visual_projector': _projector(golden, 'mm_projector'),
        'face_prior': {'projector': _projector(golden, 'landmark_feature_projector')},
        'llm': _llm(golden),
    }


def _stack(golden, pattern, transpose):
    layers = [golden[pattern.format(i)] for i in range(3)]
    return np.stack([layer.T if transpose else layer for layer in layers])


def _vision(golden):
    layers = {
        ours: {
            'kernel': _stack(golden, f'clip/encoder.layers.{{}}.{name}.weight', True),
            'bias': _stack(golden, f'clip/encoder.layers.{{}}.{name}.bias', False),
        }
        for ours, name in _CLIP.items()
    }
    for index in (1, 2):
        name = f'clip/encoder.layers.{{}}.layer_norm{index}'
        layers[f'norm_{index}'] = {
            'scale': _stack(golden, f'{name}.weight', False),
            'bias': _stack(golden, f'{name}.bias', False),
        }
    return {
        'class_embedding': golden['clip/embeddings.class_embedding'],
        'position_embedding': golden['clip/embeddings.position_embedding.weight'],
        'patch_kernel': golden['clip/embeddings.patch_embedding.weight'].transpose(2, 3, 1, 0),
        'pre_norm': {
            'scale': golden['clip/pre_layrnorm.weight'],
            'bias': golden['clip/pre_layrnorm.bias'],
        },
        'layers': layers,
    }


def _llm(golden):
    layers = {}
    for ours, name in _LLM.items():
        adapter = f'trained/layers.{{}}.{name}'
        layers[ours] = {
            'kernel': _stack(golden, f'llm/layers.{{}}.{name}.weight', True),
            'lora_a': _stack(golden, f'{adapter}.lora_A.default.weight', True),
            'lora_b': _stack(golden, f'{adapter}.lora_B.default.weight', True),
        }
    for ours, name in (
        ('attention_norm', 'input_layernorm'),
        ('mlp_norm', 'post_attention_layernorm'),
    ):
        layers[ours] = {'scale': _stack(golden, f'llm/layers.{{}}.{name}.weight', False)}
    return {
        'embed': golden['llm/embed_tokens.weight'],
        'norm': {'scale': golden['llm/norm.weight']},
        'head': golden['llm/lm_head.weight'].T,
        'layers': layers,
    }


def _projector(golden, name):
    return {
        ours: {
            'kernel': golden[f'trained/{name}.{index}.weight'].T,
            'bias': golden[f'trained/{name}.{index}.bias'],
        }
        for ours, index in (('fc_1', 0), ('fc_2', 2))
    }


@pytest.fixture(scope='module')
def batch(golden):
    """The reference's ids with its one image position widened to the visual tokens."""
    mask = golden['attention_mask']
    tokens = np.zeros(mask.shape, np.int32)
    for row, ids in enumerate(golden['input_ids']):
        (image,) = np.flatnonzero(ids == _IMAGE_TOKEN)
        visual = np.full(CFG.visual_tokens, VISUAL_TOKEN)
        tokens[row] = np.concatenate([ids[:image], visual, ids[image + 1 :]])
    return {
        'tokens': tokens,
        'positions': np.broadcast_to(np.arange(mask.shape[1], dtype=np.int32), mask.shape),
        'segment_ids': mask.astype(np.int32),
        'images': golden['images'][:, None],
        'landmarks': golden['landmarks'][:, None],
    }


def test_features_and_projections(golden, params, batch):
    patches = run(MODEL, params, batch['images'], Emola.patches)[:, 0]
    np.testing.assert_allclose(patches, golden['expected/mm_projected'], atol=2e-5)
    prior = run(FacePrior(CFG.prior, 64), params['face_prior'], batch['landmarks'])[:, 0]
    np.testing.assert_allclose(prior, golden['expected/landmark_projected'], atol=2e-5)


def test_merged_embeddings(golden, params, batch):
    embedded = np.asarray(run(MODEL, params, batch, Emola.embed))
    for row, positions in enumerate(golden['expected/positions']):
        expected = golden['expected/inputs_embeds'][row]
        np.testing.assert_allclose(embedded[row, positions], expected, atol=2e-5)


def test_logits_and_loss(golden, params, batch):
    logits = np.asarray(run(MODEL, params, batch), np.float64)
    for row, positions in enumerate(golden['expected/positions']):
        expected = golden['expected/logits'][row]
        np.testing.assert_allclose(logits[row, positions], expected, atol=2e-4)
    labels = golden['labels'][:, 1:]
    rows, positions = np.nonzero(labels != _IGNORED)
    chosen = logits[rows, positions]
    likelihood = np.log(np.exp(chosen).sum(-1)) - chosen[range(len(rows)), labels[rows, positions]]
    np.testing.assert_allclose(likelihood.mean(), golden['expected/loss'], rtol=1e-5)
