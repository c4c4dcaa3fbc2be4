"""The paper's run: LLaVA-1.5-7B, CLIP ViT-L/14-336, LoRA of rank 128, FABA-Instruct.

    python -m emola_jax.main --config=configs/emola.py --workdir=runs/emola
    python -m emola_jax.main --config=configs/emola.py:au --workdir=runs/emola_au

The argument chooses the training set: 'emotion' or 'au' as released, or 'mix' (both). Weights and
data need the user's own copies; without them the run says which are missing and where to put them.
"""

from __future__ import annotations

from ml_collections import ConfigDict

TASKS = ('emotion', 'au', 'mix')


def get_config(task: str = 'emotion') -> ConfigDict:
    """The experiment's values, those of the released script; `task` is one of `TASKS`."""
    if task not in TASKS:
        raise ValueError(f'configs/emola.py knows the tasks {TASKS}, not {task!r}')
    config = ConfigDict()
    config.seed = 1
    config.cpu_devices = 0

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
        }
    )
    config.data = ConfigDict(
        {
            'dataset': 'faba_instruct',
            'root': 'data',
            'task': task,
            'train_split': 'train',
            'image_size': 336,
            'template': 'vicuna_v1',
            'pad_to_square': True,
            'length': 2048,
            'segments': 1,
            'packing_bins': 1,
            'landmark_noise': 0.0,
            'label_weight': 1.0,
            'on_bad_record': 'stop',
            'processes': 1,
            'read_threads': 16,
        }
    )
    config.train = ConfigDict(
        {
            'epochs': 1,
            'batch_size': 64,
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
        }
    )
    config.eval = ConfigDict(
        {
            'split': 'eval',
            'limit': 0,
            'batch_size': 32,
            'max_new_tokens': {'emotion': 512, 'au': 512},
            'sampler': {'temperature': 0.0, 'top_k': 0, 'top_p': 1.0},
            'unroll': False,
            'control': True,
        }
    )
    config.mesh = ConfigDict({'data': 1, 'fsdp': -1, 'tensor': 1, 'dcn_data': 1})
    return config
