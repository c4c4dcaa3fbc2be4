"""Checkpoints that several tests read: the recorded ones, and small ones of random weights."""

import functools
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import torch
from flax.traverse_util import flatten_dict
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from emola_jax.formats.source import Source
from emola_jax.models import config as ours
from emola_jax.models.layers import stack_layers, unstack_layers
from emola_jax.weights import lazy
from tests.models.tiny import random_params

GOLDEN = Path(__file__).parent.parent / 'golden'
RELEASED = GOLDEN / 'released' / 'llava-v1.5-tiny-lora-emola-mha'
BASE = GOLDEN / 'released' / 'llava-v1.5-tiny-mha'
CLIP = GOLDEN / 'released' / 'openai' / 'clip-tiny-patch14-56'
TOKENIZER = GOLDEN / 'llama_tokenizer'

MODEL = ours.EmolaConfig(
    vision=ours.VisionConfig(image_size=28, patch_size=14, width=16, layers=3, heads=2, mlp=32),
    llm=ours.LlamaConfig(vocab=64, width=24, layers=2, heads=4, kv_heads=2, head_dim=6, mlp=40),
    lora=ours.LoraConfig(rank=3, alpha=6.0, dropout=0.0),
)


def variant(*, kv_heads=2, tied=False, scan=True, **changes):
    llm = ours.LlamaConfig(**{**vars(MODEL.llm), 'kv_heads': kv_heads, 'tied_embeddings': tied})
    return MODEL.replace(llm=llm, scan=scan, **changes)


def source(model=MODEL, seed=0, **fields):
    """A source of random weights, as a run would give it."""
    params = random_params(model.replace(scan=True), seed)
    if not model.scan:
        params['llm']['layers'] = unstack_layers(params['llm']['layers'])
    flat = {path: lazy.of_array(leaf) for path, leaf in flatten_dict(params).items()}
    return Source(Path('memory'), 'random', model, flat, **fields)


def arrays(params):
    """Path -> array, of lazy parameters; layers are stacked."""
    nested = {}
    for path, value in params.items():
        here = nested
        for name in path[:-1]:
            here = here.setdefault(name, {})
        here[path[-1]] = value.whole()
    layers = nested.get('llm', {}).get('layers', {})
    if '0' in layers:
        nested['llm']['layers'] = jax.tree.map(np.asarray, stack_layers(layers))
    return flatten_dict(nested)


def assert_same(left, right):
    left, right = arrays(left), arrays(right)
    assert left.keys() == right.keys()
    for path, leaf in left.items():
        assert leaf.dtype == right[path].dtype, path
        np.testing.assert_array_equal(leaf, right[path], err_msg='/'.join(path))


def clip_config(vision):
    return CLIPVisionConfig(
        hidden_size=vision.width,
        intermediate_size=vision.mlp,
        num_hidden_layers=vision.layers,
        num_attention_heads=vision.heads,
        image_size=vision.image_size,
        patch_size=vision.patch_size,
    )


def write_clip_config(folder, vision=MODEL.vision):
    """CLIP's config without its weights: enough to know the tower's sizes."""
    folder.mkdir()
    (folder / 'config.json').write_text(clip_config(vision).to_json_string())
    return folder


@functools.cache
def llava_hf(tied=False):
    """A LLaVA of transformers with random weights, of the sizes of `MODEL`."""
    torch.manual_seed(0)
    vision, llm = MODEL.vision, MODEL.llm
    config = LlavaConfig(
        vision_config=clip_config(vision),
        text_config=LlamaConfig(
            vocab_size=llm.vocab,
            hidden_size=llm.width,
            intermediate_size=llm.mlp,
            num_hidden_layers=llm.layers,
            num_attention_heads=llm.heads,
            num_key_value_heads=llm.kv_heads,
            rms_norm_eps=llm.norm_eps,
            tie_word_embeddings=tied,
        ),
        image_token_index=llm.vocab - 1,
        image_seq_length=vision.tokens,
        tie_word_embeddings=tied,
    )
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.15 + (parameter.ndim == 1))
    return model


def released_copy(folder, *, base=True):
    """The recorded checkpoint, its base and CLIP in a folder of the test's own."""
    for path in (RELEASED, BASE, CLIP) if base else (RELEASED,):
        shutil.copytree(path, folder / path.name)
    for path in TOKENIZER.glob('*'):
        if base and path.name != 'encoded.json':
            shutil.copy(path, folder / BASE.name)
    config = folder / RELEASED.name / 'config.json'
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, 'mm_vision_tower': str(CLIP)}))
    adapter = folder / RELEASED.name / 'adapter_config.json'
    values = json.loads(adapter.read_text())
    adapter.write_text(json.dumps({**values, 'base_model_name_or_path': str(folder / BASE.name)}))
    return folder / RELEASED.name
