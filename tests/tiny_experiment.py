"""An experiment of random weights on records made in memory, without any file or asset."""

import dataclasses
import functools

import jax
import numpy as np

from emola_jax.config.run import RunConfig
from emola_jax.experiment import base as bases
from emola_jax.experiment.prepare import Experiment
from emola_jax.experiment.splits import Data, Split
from emola_jax.facs import EMOTIONS
from emola_jax.models.config import (
    EmolaConfig,
    LlamaConfig,
    LoraConfig,
    PriorConfig,
    VisionConfig,
)
from emola_jax.models.emola import Emola
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.parallel import sharding
from input_pipeline.conversation import TEMPLATES
from input_pipeline.pipeline import Encoder, PipelineConfig
from input_pipeline.selection import Selection
from tests.input_pipeline.fakes import png, record
from tests.models.tiny import random_params

MODEL = EmolaConfig(
    vision=VisionConfig(image_size=28, patch_size=14, width=16, layers=3, heads=8, mlp=32),
    llm=LlamaConfig(vocab=264, width=32, layers=2, heads=8, kv_heads=8, head_dim=4, mlp=64),
    lora=LoraConfig(rank=4, alpha=8.0, dropout=0.0),
    prior=PriorConfig(),
)


def records(count):
    """Half of them ask for the emotion, half for the action units."""
    made = []
    for number in range(count):
        task = ('emotion', 'au')[number % 2]
        emotion = number % len(EMOTIONS)
        answers = {'emotion': f'It is {EMOTIONS[emotion]}.', 'au': 'AU4 and AU9.'}
        made.append(
            record(
                number,
                task=task,
                image=png((number * 5 % 256, 9, 9), 28),
                emotion=emotion,
                aus=(4, 9),
                response=answers[task],
            )
        )
    return made


def questions(count):
    """`records` with questions of five lengths and faces that have little in common."""
    rng = np.random.default_rng(0)
    return [
        dataclasses.replace(
            face,
            instruction='Which AUs? ' + 'Look. ' * (number % 5),
            landmarks=rng.uniform(-1, 1, 212).astype(np.float32),
        )
        for number, face in enumerate(records(count))
    ]


@functools.cache
def weights(mesh, *, lively=False):
    """(base, frozen, trainable) that experiments on the mesh start from; never donate them."""
    base = bases.random_base(MODEL, 0)
    if lively:
        params = jax.tree.map(lambda leaf: 4 * leaf, random_params(MODEL))
        base = dataclasses.replace(base, params=params)
    return base, *bases.place(MODEL, base, mesh, seed=0)


def tiny_config(*, steps=4, epochs=None, evaluation=None, seed=0, **train):
    """The config of `tiny_experiment`."""
    duration = {'steps': steps} if epochs is None else {'epochs': epochs}
    values = {
        'seed': seed,
        'cpu_devices': 0,
        'model': MODEL.to_dict(),
        'base': {'kind': 'random'},
        'data': {
            'dataset': 'fake',
            'root': 'none',
            'task': 'mix',
            'train_split': 'train',
            'template': 'vicuna_v1',
            'pad_to_square': True,
            'length': 320,
            'segments': 1,
            'packing_bins': 8,
            'landmark_noise': 0.0,
            'label_weight': 1.0,
            'on_bad_record': 'stop',
            'processes': 1,
            'read_threads': 1,
        },
        'train': {
            **duration,
            'batch_size': 8,
            'loss_chunk': 32,
            'unroll': False,
            'accumulate': 1,
            'optimiser': {'lr': 1e-2, 'projector_lr': 1e-2},
            'log_every': 1,
            'checkpoint_every': 2,
            'keep_checkpoints': 2,
            'validate': {'every': 0, 'split': 'test', 'limit': 0},
            **train,
        },
        'eval': {
            'split': 'test',
            'batch_size': 8,
            'max_new_tokens': {'emotion': 6, 'au': 6},
            'sampler': {'temperature': 0.0},
            'unroll': False,
            'control': False,
            **(evaluation or {}),
        },
    }
    del values['model']['quantize']
    return RunConfig.of_run(values, 'tiny')


def _copied(leaf):
    shards = [
        jax.device_put(np.array(shard.data), shard.device) for shard in leaf.addressable_shards
    ]
    return jax.make_array_from_single_device_arrays(leaf.shape, leaf.sharding, shards)


def tiny_experiment(
    workdir,
    *,
    steps=4,
    mesh=None,
    segments=1,
    devices=1,
    count=24,
    faces=None,
    lively=False,
    epochs=None,
    seed=0,
    evaluation=None,
    **train,
):
    """Builds it on `faces`, or on `count` made ones.

    `evaluation` changes fields of the config's section `eval`, and what is left those of `train`.
    With `epochs` each of them is trained apart, its last batch partial, and `steps` does not count.
    `devices` of the fake CPU devices make the mesh unless `mesh` is given. As initialised the model
    says the same to every face; a `lively` one, of larger weights, does not.
    """
    config = tiny_config(epochs=epochs, evaluation=evaluation, seed=seed, steps=steps, **train)
    pipeline = PipelineConfig(
        batch_size=8,
        length=320,
        segments=segments,
        packing_bins=8,
        image_size=28,
        visual_tokens=MODEL.visual_tokens,
        landmark_noise=0.0,
        label_weight=1.0,
        seed=0,
        read_threads=1,
        epochs_apart=epochs is not None,
    )
    tokenizer = Tokenizer.byte_level()
    faces = records(count) if faces is None else faces
    split = Split(faces, Selection(np.arange(len(faces)), ()))
    data = Data(
        {'train': split, 'test': split},
        Encoder(pipeline, tokenizer, TEMPLATES['vicuna_v1']),
        known_aus=(4, 9, 12),
        scored_aus=(4, 9, 12),
        key='fake',
        rendered=False,
    )
    mesh = mesh or jax.sharding.Mesh(
        np.asarray(jax.devices()[:devices]).reshape(-1, 1, 1), sharding.MESH_AXES
    )
    base, frozen, trainable = weights(mesh, lively=lively)
    return Experiment(
        config=config,
        workdir=workdir,
        model=Emola(MODEL),
        mesh=mesh,
        tokenizer=tokenizer,
        data=data,
        base=base,
        frozen=frozen,
        trainable=jax.tree.map(_copied, trainable),  # training donates it
    )
