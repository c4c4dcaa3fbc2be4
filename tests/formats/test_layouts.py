"""Every layout that LLaVA has been saved in gives the same parameters, and what they compute."""

import json

import numpy as np
import pytest
import torch
from flax.traverse_util import unflatten_dict
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from emola_jax.errors import UserError
from emola_jax.formats import layouts
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.write import write_safetensors
from emola_jax.models.config import PriorConfig
from emola_jax.models.emola import Emola
from emola_jax.weights import lazy, rules
from tests.formats.checkpoints import (
    MODEL,
    arrays,
    assert_same,
    llava_hf,
    source,
    variant,
    write_clip_config,
)
from tests.models.tiny import conversation, run

RENAMED = {
    layouts.LLAVA_HF_MODULES_OF_5: {},
    layouts.LLAVA_HF_MODULES: {'model.vision_tower.': 'model.vision_tower.vision_model.'},
    layouts.LLAVA_HF_SAVED_BY_5: {
        'lm_head.': 'language_model.lm_head.',
        'model.language_model.': 'language_model.model.',
        'model.': '',
    },
    layouts.LLAVA_HF: {
        'lm_head.': 'language_model.lm_head.',
        'model.language_model.': 'language_model.model.',
        'model.vision_tower.': 'vision_tower.vision_model.',
        'model.': '',
    },
}


def renamed(name, starts):
    return next((n + name.removeprefix(o) for o, n in starts.items() if name.startswith(o)), name)


def save_as(folder, layout, tied=False):
    llava_hf(tied).save_pretrained(folder)
    state = {n: t for n, t in llava_hf(tied).state_dict().items() if not tied or 'lm_head' not in n}
    named = {renamed(n, RENAMED[layout]): t.contiguous() for n, t in state.items()}
    saved = set(load_file(folder / 'model.safetensors'))
    if layout is layouts.LLAVA_HF_SAVED_BY_5:
        assert saved == set(named)  # this is what the installed transformers writes
    save_file(named, folder / 'model.safetensors')


@pytest.mark.parametrize('layout', RENAMED, ids=lambda layout: layout.name)
@pytest.mark.parametrize('tied', [True, False], ids=['tied', 'untied'])
def test_llava_hf_is_read_in_each_of_its_layouts(tmp_path, layout, tied):
    save_as(tmp_path, layout, tied)
    read = read_folder(tmp_path)
    assert read.kind == f'{tmp_path}: {layout.name}'
    expected = variant(tied=tied, lora=None, prior=PriorConfig(enabled=False))
    assert read.model == expected
    if not tied:
        head = llava_hf().lm_head.weight.detach().numpy()
        np.testing.assert_array_equal(read.params['llm', 'head'].whole(), head.T)
    vision = llava_hf(tied).model.vision_tower.state_dict()
    np.testing.assert_array_equal(
        read.params['vision', 'layers', 'fc_1', 'kernel'].whole()[1],
        vision['encoder.layers.1.mlp.fc1.weight'].numpy().T,
    )


def test_what_is_read_computes_what_transformers_computes(tmp_path):
    save_as(tmp_path, layouts.LLAVA_HF)
    read = read_folder(tmp_path)
    batch = conversation(read.model, 7, seed=2)
    pixels = batch['images'][0].astype(np.float32) / 255
    pixels = (pixels - np.float32(MODEL.vision.image_mean)) / np.float32(MODEL.vision.image_std)
    image = llava_hf().config.image_token_id
    ids = np.where(batch['tokens'] < 0, image, batch['tokens'] % image)
    batch = {**batch, 'tokens': np.where(batch['tokens'] < 0, batch['tokens'], ids)}
    logits = run(Emola(read.model), unflatten_dict(arrays(read.params)), batch)
    with torch.no_grad():
        expected = llava_hf()(
            input_ids=torch.tensor(ids, dtype=torch.long),
            pixel_values=torch.tensor(pixels.transpose(0, 3, 1, 2)),
        ).logits
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize('name', ['hf', 'original'])
@pytest.mark.parametrize('scan', [True, False], ids=['scanned', 'unscanned'])
def test_the_merged_folder_comes_back_tensor_for_tensor(tmp_path, name, scan):
    """Through the seam that a format of whole models uses: a table, then streamed shards."""
    layout = {'hf': layouts.EMOLA_HF, 'original': layouts.LLAVA}[name]
    ours = source(variant(scan=scan, lora=None))
    theirs = rules.to_theirs(layout.rules, ours.params)
    files = write_safetensors(tmp_path, theirs, max_shard_size=20_000)
    assert len(files) > 2
    opened = {n: t for f in files for n, t in lazies_of(f).items()}
    read, faults = rules.to_ours(layout.rules, opened, source(variant(lora=None)).params)
    assert not faults
    assert_same(read, ours.params)


def lazies_of(path):
    return {name: lazy.of_array(tensor.numpy()) for name, tensor in load_file(path).items()}


def test_shards_of_pytorch_in_the_original_layout_with_a_tower_of_its_own(tmp_path):
    """As liuhaotian's, here with CLIP inside, as checkpoints with a tuned tower have it."""
    ours = source(variant(lora=None))
    theirs = {n: t.whole() for n, t in rules.to_theirs(layouts.LLAVA.rules, ours.params).items()}
    theirs['model.layers.0.self_attn.rotary_emb.inv_freq'] = np.ones(3, np.float32)
    tower = layouts.LLAVA.vision
    theirs[f'{tower}post_layernorm.weight'] = np.ones(16, np.float32)
    theirs[f'{tower}encoder.layers.2.mlp.fc1.bias'] = np.ones(32, np.float32)
    names = sorted(theirs)
    for part, some in enumerate((names[:30], names[30:])):
        torch.save(
            {n: torch.tensor(theirs[n].copy()) for n in some},
            tmp_path / f'pytorch_model-{part + 1:05d}-of-00002.bin',
        )
    clip = write_clip_config(tmp_path / 'clip')
    llm = MODEL.llm
    config = {
        'vocab_size': llm.vocab,
        'hidden_size': llm.width,
        'intermediate_size': llm.mlp,
        'num_hidden_layers': llm.layers,
        'num_attention_heads': llm.heads,
        'num_key_value_heads': llm.kv_heads,
        'rms_norm_eps': llm.norm_eps,
        'mm_vision_tower': str(clip),
        'mm_projector_type': 'mlp2x_gelu',
        'landmark_feature_hidden_size': 212,
    }
    (tmp_path / 'config.json').write_text(json.dumps(config))
    read = read_folder(tmp_path)
    assert read.model == ours.model
    assert_same(read.params, ours.params)


def test_a_plain_llama_is_a_model_of_text(tmp_path):
    llama = LlamaForCausalLM(llava_hf().config.text_config).eval()
    llama.bfloat16().save_pretrained(tmp_path)
    read = read_folder(tmp_path)
    assert read.kind == f'{tmp_path}: LLaMA'
    assert (read.model.vision, read.model.prior.enabled) == (None, False)
    assert read.model.param_dtype == 'bfloat16'
    params = unflatten_dict(arrays(read.params))
    batch = {
        'tokens': np.arange(9, dtype=np.int32)[None],
        'positions': np.arange(9, dtype=np.int32)[None],
        'segment_ids': np.ones((1, 9), np.int32),
    }
    logits = run(Emola(read.model), params, batch)
    with torch.no_grad():
        expected = llama.float()(torch.arange(9)[None]).logits
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-5)


def test_a_config_that_we_cannot_compute_is_refused_with_all_reasons(tmp_path):
    save_as(tmp_path, layouts.LLAVA_HF)
    path = tmp_path / 'config.json'
    values = json.loads(path.read_text())
    values['text_config']['hidden_act'] = 'gelu'
    values['text_config']['rope_parameters'] = {'rope_type': 'linear', 'factor': 2.0}
    values['vision_feature_select_strategy'] = 'full'
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        read_folder(tmp_path)
    message = str(caught.value)
    assert "hidden_act is 'gelu', expected 'silu'" in message
    assert "rope_scaling is of type 'linear'" in message
    assert "vision_feature_select_strategy is 'full'" in message
