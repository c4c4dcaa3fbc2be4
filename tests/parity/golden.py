"""What the released PyTorch code computed at a tiny size on a CPU, and our model with its weights.

    tests/golden/released   its base, CLIP tower and trained checkpoint, as it wrote them
    tests/golden/faba       the faces and annotations that it read, in FABA-Instruct's layout
    tests/golden/parity     what it computed of them, in float32

The run `clip0` is five steps of batch 4, `clip1` clips gradients to norm 1, `wd` decays weights by
0.1. LoRA's B was drawn at random before the first step, so that no gradient is trivial.
"""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import torch
from flax.traverse_util import unflatten_dict

from emola_jax.experiment import state
from emola_jax.formats import layouts, llava
from emola_jax.models.config import EmolaConfig, LlamaConfig, LoraConfig, VisionConfig
from emola_jax.models.emola import Emola
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights.lazy import of_array
from emola_jax.weights.rules import prefixed
from input_pipeline import packing
from input_pipeline.conversation import TEMPLATES, VISUAL_TOKEN
from input_pipeline.datasets import faba_instruct
from input_pipeline.pipeline import Encoder, PipelineConfig

FOLDER = Path(__file__).parent.parent / 'golden'
RELEASED = FOLDER / 'released'
RELEASED_NAME = 'llava-v1.5-tiny-lora-emola-mha'
IMAGE_TOKEN, IGNORED = -200, -100
"""The reference's mark of an image's place in its ids, and of a label that isn't trained."""

CFG = EmolaConfig(
    vision=VisionConfig(image_size=56, patch_size=14, width=32, layers=4, heads=4, mlp=128),
    llm=LlamaConfig(vocab=512, width=64, layers=3, heads=4, kv_heads=4, head_dim=16, mlp=172),
    lora=LoraConfig(rank=8, alpha=16.0, dropout=0.0),
)
MODEL = Emola(CFG)
LENGTH = 316
"""Tokens a row: the longest recorded batch, its image mark widened."""


@functools.cache
def arrays(name):
    """The arrays of a file in tests/golden/parity."""
    with np.load(FOLDER / 'parity' / f'{name}.npz') as file:
        return dict(file)


@functools.cache
def facts(name):
    """The JSON file of that name in tests/golden/parity."""
    return json.loads((FOLDER / 'parity' / f'{name}.json').read_text(encoding='utf-8'))


@functools.cache
def tokenizer():
    return Tokenizer.from_pretrained(FOLDER / 'llama_tokenizer')


# ------------------------------------------------------------------- weights


def _trainable_rules():
    """The trainables' names in the released checkpoint: LoRA, and both projectors beside it."""
    projectors = [
        rule
        for rule in layouts.LLAVA.rules
        if rule.ours[0] in (layouts.VISUAL_PROJECTOR, layouts.PRIOR)
    ]
    return (*layouts.LLAVA.lora_rules, *prefixed(projectors, layouts.PEFT_PREFIX))


def places():
    """Name of every trainable in the released checkpoint -> (rule, layer)."""
    return {
        rule.name(layer): (rule, layer)
        for rule in _trainable_rules()
        for layer in (range(CFG.llm.layers) if rule.per_layer else (None,))
    }


def trainable_tree(tensors):
    """The released code's tensors as our trainable subtree; every one must find its place."""
    named = {name.replace('.default', ''): np.asarray(tensor) for name, tensor in tensors.items()}
    assert named.keys() == places().keys()
    found = {}
    for name, (rule, _) in places().items():
        found.setdefault(rule.ours, []).append(rule.to_ours(of_array(named[name])).whole())
    return unflatten_dict(
        {path: np.stack(parts) if 'layers' in path else parts[0] for path, parts in found.items()}
    )


def recorded(section):
    """A section of training.npz as a trainable subtree: 'init', 'grad0', 'after2', 'wd', …"""
    prefix = f'{section}/'
    found = {n: array for n, array in arrays('training').items() if n.startswith(prefix)}
    return trainable_tree({name.removeprefix(prefix): array for name, array in found.items()})


@functools.cache
def frozen():
    base = llava.read_base(
        RELEASED / 'llava-v1.5-tiny-mha', RELEASED / 'openai' / 'clip-tiny-patch14-56', CFG
    )
    return jax.tree.map(lambda leaf: leaf.whole(), state.split(base)[0])


@functools.cache
def released():
    """The trainables of the checkpoint that the run `clip0` saved after its five steps."""
    folder = RELEASED / 'llava-v1.5-tiny-lora-emola-mha'
    tensors = {}
    for name in ('adapter_model.bin', 'non_lora_trainables.bin'):
        tensors |= torch.load(folder / name, weights_only=True)
    return trainable_tree(tensors)


def initial_params():
    return state.merge(frozen(), recorded('init'))


def released_params():
    return state.merge(frozen(), released())


# ---------------------------------------------------------------------- data


def encoder(template='vicuna_v1', *, length=LENGTH, pad_to_square=True):
    config = PipelineConfig(
        batch_size=4,
        length=length,
        segments=1,
        packing_bins=1,
        image_size=CFG.vision.image_size,
        visual_tokens=CFG.visual_tokens,
        landmark_noise=0.0,
        label_weight=1.0,
        seed=0,
        read_threads=1,
        pad_to_square=pad_to_square,
    )
    return Encoder(config, tokenizer(), TEMPLATES[template])


@functools.cache
def records(split):
    """(task, name of the picture) -> record."""
    source = faba_instruct.load(FOLDER / 'faba', 'mix', split)
    found = {}
    for index in range(len(source)):
        record, item = source[index], source.items[index]
        found[item.task, Path(item.image).stem] = record
    return found


@functools.cache
def batch(number):
    """The batch that the reference trained on in step `number`, from our own pipeline."""
    by_image = {image: record for (_, image), record in records('train').items()}
    rows = [_row(by_image[image]) for image in facts('training')['images'][number]]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _row(record):
    talk = encoder().conversation(record)
    element = {
        'tokens': talk.tokens,
        'targets': talk.targets,
        'loss_weights': talk.loss_weights,
        'images': encoder().pixels(record),
        'landmarks': record.landmarks,
    }
    return packing.join([element], length=LENGTH, segments=1)


def widen(ids, fill, visual=CFG.visual_tokens):
    """The reference's ids (or labels) with every image mark widened to `visual` times `fill`."""
    parts = [[fill] * visual if value == IMAGE_TOKEN else [value] for value in ids]
    return np.asarray([value for part in parts for value in part], np.int32)


def widen_labels(labels, ids):
    """Labels beside `widen(ids, …)`: what an image fills isn't trained."""
    marks = np.where(np.asarray(ids) == IMAGE_TOKEN, IMAGE_TOKEN, labels)
    return widen(marks, IGNORED)


def widen_tokens(ids):
    return widen(ids, VISUAL_TOKEN)
