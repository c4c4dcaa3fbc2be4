import flax.linen as nn
import jax
import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from emola_jax.models.clip_vit import ClipVit, merge_neighbours, normalize_images
from emola_jax.models.config import VisionConfig
from tests.models.tiny import run


def hugging_face(cfg):
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=cfg.width,
        intermediate_size=cfg.mlp,
        num_hidden_layers=cfg.layers,
        num_attention_heads=cfg.heads,
        image_size=cfg.image_size,
        patch_size=cfg.patch_size,
    )
    model = CLIPVisionModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def from_hugging_face(model, cfg):
    weights = {
        name.replace('vision_model.', ''): w.numpy() for name, w in model.state_dict().items()
    }

    def stack(name):
        return np.stack([weights[f'encoder.layers.{i}.{name}'] for i in range(cfg.used_layers)])

    def dense(name):
        return {'kernel': stack(f'{name}.weight').swapaxes(1, 2), 'bias': stack(f'{name}.bias')}

    def norm(name):
        return {'scale': stack(f'{name}.weight'), 'bias': stack(f'{name}.bias')}

    return {
        'class_embedding': weights['embeddings.class_embedding'],
        'position_embedding': weights['embeddings.position_embedding.weight'],
        'patch_kernel': weights['embeddings.patch_embedding.weight'].transpose(2, 3, 1, 0),
        'pre_norm': {
            'scale': weights['pre_layrnorm.weight'],
            'bias': weights['pre_layrnorm.bias'],
        },
        'layers': {
            'norm_1': norm('layer_norm1'),
            'norm_2': norm('layer_norm2'),
            'fc_1': dense('mlp.fc1'),
            'fc_2': dense('mlp.fc2'),
            'q': dense('self_attn.q_proj'),
            'k': dense('self_attn.k_proj'),
            'v': dense('self_attn.v_proj'),
            'o': dense('self_attn.out_proj'),
        },
    }


@pytest.mark.parametrize('feature_layer', [-2, -1, 2])
@pytest.mark.parametrize(('image_size', 'patch_size'), [(28, 7), (48, 16)])
def test_features_are_hugging_faces(feature_layer, image_size, patch_size):
    cfg = VisionConfig(
        image_size=image_size,
        patch_size=patch_size,
        width=24,
        layers=4,
        heads=3,
        mlp=40,
        feature_layer=feature_layer,
    )
    model = hugging_face(cfg)
    images = np.random.default_rng(0).normal(size=(2, image_size, image_size, 3)).astype(np.float32)
    with torch.no_grad():
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        states = model(pixel_values=pixels, output_hidden_states=True).hidden_states
    ours = run(ClipVit(cfg), from_hugging_face(model, cfg), images)
    np.testing.assert_allclose(ours, states[feature_layer][:, 1:].numpy(), atol=2e-5)


def test_no_layer_behind_the_features_is_created():
    cfg = VisionConfig(image_size=28, width=16, layers=5, heads=2, mlp=8)
    images = np.zeros((1, 28, 28, 3), np.float32)
    params = jax.eval_shape(ClipVit(cfg).init, jax.random.key(0), images)['params']
    assert params['layers']['q']['kernel'].value.shape[0] == 4


def test_an_image_of_another_size_is_refused():
    cfg = VisionConfig(image_size=28, width=16, layers=2, heads=2, mlp=8)
    with pytest.raises(ValueError, match='expects'):
        ClipVit(cfg).init(jax.random.key(0), np.zeros((1, 42, 42, 3), np.float32))


def test_merging_joins_two_by_two_neighbours_row_by_row():
    # Four by four patches, numbered in reading order.
    numbers = np.arange(16, dtype=np.float32).reshape(1, 16, 1)
    merged = np.asarray(merge_neighbours(numbers, grid=4, merge=2))
    np.testing.assert_array_equal(
        merged[0], [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    )


def test_spatial_merge_only_rearranges_the_features():
    cfg = VisionConfig(image_size=28, patch_size=7, width=16, layers=2, heads=2, mlp=8)
    merged_cfg = VisionConfig(
        image_size=28, patch_size=7, width=16, layers=2, heads=2, mlp=8, spatial_merge=2
    )
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 3)).astype(np.float32)
    params = nn.unbox(jax.jit(ClipVit(cfg).init)(jax.random.key(0), images))['params']
    plain = np.asarray(run(ClipVit(cfg), params, images))
    merged = np.asarray(run(ClipVit(merged_cfg), params, images))
    assert merged.shape == (2, merged_cfg.tokens, merged_cfg.features) == (2, 4, 64)
    np.testing.assert_allclose(merged[:, 1, 16:32], plain[:, 3], rtol=1e-6)


def test_images_are_normalised_per_channel():
    cfg = VisionConfig(image_mean=(0.5, 0.25, 0.0), image_std=(0.5, 0.25, 2.0))
    pixel = np.array([[[255, 0, 51]]], np.uint8)
    np.testing.assert_allclose(normalize_images(pixel, cfg)[0, 0], [1.0, -1.0, 0.1], rtol=1e-6)
