"""The paper's run: LLaVA-1.5-7B, CLIP ViT-L/14-336, LoRA of rank 128, FABA-Instruct.

    python -m emola_jax.main --config=configs/emola.py --workdir=runs/emola
    python -m emola_jax.main --config=configs/emola.py:au --workdir=runs/emola_au
    python -m emola_jax.main --config=configs/emola.py:task=au,dataset=disfa,fold=1 --workdir=…
    python -m emola_jax.main --config=configs/emola.py:task=emotion,dataset=rafdb --workdir=…
    python -m emola_jax.main --config=configs/emola.py:au,row=image --workdir=…

The argument is `task=…,dataset=…,fold=…,row=…`, in any order, each optional; a task alone may be
named without its key. The task is 'emotion' or 'au', or 'mix' (both) where the data set has both;
without one it is the data set's only task, 'emotion' for FABA-Instruct. `fold` 1, 2 or 3 (1 if left
out) is for BP4D and DISFA. `row` is one of the ablation's: both (if left out), prior_only,
vision_only, shuffled, before, image or several (docs/prior.md). Weights and data need your own
copies; without them the run says which are missing and where to put them; docs/datasets.md tells
each data set's layout.

The settings are those of the released script, for every data set: what the paper changed for the
others it doesn't say.
"""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict, config_dict

from configs import _priors
from emola_jax.errors import UserError
from input_pipeline.datasets import registry
from input_pipeline.datasets.folds import FOLDS, fold_splits
from input_pipeline.datasets.items import Options

TASKS = ('emotion', 'au', 'mix')
_KEYS = ('task', 'dataset', 'fold', 'row')


@dataclasses.dataclass(frozen=True)
class Argument:
    """What a config argument asks for.

    Attributes:
      task: one of `TASKS`.
      dataset: full name of the data set.
      fold: 1..3, or 0 for a data set without folds.
      train_split, eval_split: what that means as splits.
      row: of the ablation, one of `_priors.ROWS`.
    """

    task: str
    dataset: str
    fold: int
    train_split: str
    eval_split: str
    row: str = _priors.BOTH


def parse(argument: str) -> Argument:
    """Reads 'task=au,dataset=disfa,fold=1', or a task alone.

    Raises:
      UserError: an unknown key, a key given twice, or a value that the data set doesn't have.
    """
    given: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in argument.split(','))):
        key, equals, value = (piece.strip() for piece in part.partition('='))
        if not equals:
            key, value = 'task', key
        if key not in _KEYS or not value:
            raise UserError(
                f'configs/emola.py: {part!r} in {argument!r}; expected a task ({", ".join(TASKS)}) '
                'or task=au,dataset=disfa,fold=1'
            )
        if key in given:
            raise UserError(f'configs/emola.py: {argument!r} gives {key} twice')
        given[key] = value
    data_set = registry.find(given.get('dataset', 'faba_instruct')).DATA_SET
    row = given.get('row', _priors.BOTH)
    if row not in _priors.ROWS:
        raise UserError(f'configs/emola.py: row is {row!r}; expected one of {_priors.ROWS}')
    task = given.get('task', data_set.tasks[0])
    data_set.check_tasks(Options(task=task))
    if data_set.train:
        if 'fold' in given:
            raise UserError(
                f'configs/emola.py: {data_set.name} has no folds, only bp4d and disfa do; leave '
                f'fold={given["fold"]} out'
            )
        return Argument(task, data_set.name, 0, data_set.train, data_set.evaluated, row)
    fold = given.get('fold', '1')
    if fold not in map(str, FOLDS):
        raise UserError(f'configs/emola.py: fold={fold}; expected one of {FOLDS}')
    return Argument(task, data_set.name, int(fold), *fold_splits(int(fold)), row)


def get_config(argument: str = '') -> ConfigDict:
    """The experiment's values, those of the released script; the module tells the argument."""
    asked = parse(argument)
    config = ConfigDict()
    config.seed = 1
    config.cpu_devices = 0
    config.init_from = ''  # a checkpoint whose adapter and projectors the run starts with

    config.model = ConfigDict(
        {
            'vision': {
                'image_size': 336,
                'patch_size': 14,
                'width': 1024,
                'layers': 24,
                'heads': 16,
                'mlp': 4096,
                'feature_layer': -2,
            },
            'llm': {
                'vocab': 32000,
                'width': 4096,
                'layers': 32,
                'heads': 32,
                'kv_heads': 32,
                'head_dim': 128,
                'mlp': 11008,
                'rope_theta': 10000.0,
                'norm_eps': 1e-5,
                'tied_embeddings': False,
            },
            'lora': {'rank': 128, 'alpha': 256.0, 'dropout': 0.05},
            'prior': {'standardize': False, 'enabled': True},
            'dtype': 'bfloat16',
            'param_dtype': 'bfloat16',
            'remat': 'full',
        }
    )
    config.base = ConfigDict(
        {
            'kind': 'llava',
            'llava': 'weights/llava-v1.5-7b',
            'clip': 'weights/clip-vit-large-patch14-336',
            'quantize': config_dict.placeholder(str),  # a name of docs/memory.md
        }
    )
    config.data = ConfigDict(
        {
            'dataset': asked.dataset,
            'root': 'data',
            'built': '',  # a finished data set to read instead of building one from `root`
            'task': asked.task,
            'fold': asked.fold,
            'frame_step': 1,
            'labels': '',
            'train_split': asked.train_split,
            'image_size': 336,
            'template': 'vicuna_v1',
            'pad_to_square': True,
            'length': 2048,
            'segments': 1,
            'packing_bins': 1,
            'length_buckets': (),
            'landmarks': 'given',  # or 'computed': found in the pictures by FaceMesh
            'landmark_noise': 0.0,
            'label_weight': 1.0,
            'on_bad_record': 'stop',
            'processes': 1,
            'read_threads': 16,
            'workers': 0,  # reading processes; 0 leaves it to those threads
        }
    )
    config.train = ConfigDict(
        {
            'epochs': 1,
            'batch_size': 64,
            'last_batch': 'keep',  # an epoch ends with the records that are left
            'loss_chunk': 256,
            'unroll': False,
            'accumulate': 1,
            'optimiser': {
                'lr': 1e-4,
                'projector_lr': 2e-5,
                'weight_decay': 0.0,
                'b2': 0.999,
                'warmup_ratio': 0.03,
                'final_ratio': 0.0,
                'clip_norm': 0.0,
            },
            'log_every': 1,
            'checkpoint_every': 50,
            'keep_checkpoints': 2,
            # Every so many steps (0 = never) answers are scored, and the best checkpoint is kept.
            'validate': {'every': 0, 'split': asked.eval_split, 'limit': 0},
        }
    )
    config.eval = ConfigDict(
        {
            'split': asked.eval_split,
            'checkpoint': 'newest',
            'limit': 0,
            'refill': 0,
            'batch_size': 32,
            'max_new_tokens': {'emotion': 2048, 'au': 2048},
            'sampler': {'temperature': 0.0, 'top_k': 0, 'top_p': 1.0},
            'unroll': False,
            'merge': True,
            'control': True,
        }
    )
    config.mesh = ConfigDict({'data': 1, 'fsdp': -1, 'tensor': 1, 'dcn_data': 1})
    config.hosts = ConfigDict({'silence': 25})  # seconds that one of several may be paused
    _priors.choose(config, asked.row)
    return config
