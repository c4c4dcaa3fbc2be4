"""The embedded default: a real EmoLA, small enough for two CPU cores, on rendered faces.

SmolLM2-135M with LoRA, a small ViT trained by the project, and 106 landmarks as the facial prior:

    python -m emola_jax.main --config=configs/mini.py --workdir=runs/mini

`configs/mini.py:long` trains longer on more faces, for who has the time or a GPU. The ablation's
rows (docs/prior.md) are `mini.py:prior_only`, `vision_only`, `both` (the default), `shuffled`,
`before`, `image` and `several`; `mini.py:long,row=image` is one of the longer run.
`mini.py:int8` and `mini.py:nf4` train on a base in 8 or 4 bits
(docs/memory.md).
"""

from __future__ import annotations

from ml_collections import ConfigDict, config_dict

from configs import _priors

PRESETS = ('default', 'long', 'int8', 'nf4')


def get_config(argument: str = 'default') -> ConfigDict:
    """The experiment's values; `argument` names one of `PRESETS`, or a row, or both."""
    preset, row = _priors.take_row(argument, PRESETS, 'configs/mini.py')
    vision = ConfigDict(
        {
            'image_size': 96,
            'patch_size': 16,
            'width': 128,
            'layers': 5,
            'heads': 4,
            'mlp': 512,
            'feature_layer': -2,
            'spatial_merge': 2,
        }
    )
    prior = ConfigDict({'standardize': True, 'enabled': True})
    config = ConfigDict()
    config.seed = 0
    config.cpu_devices = 1  # each product on all cores is faster than a share of the batch a core
    config.init_from = ''  # a checkpoint whose adapter and projectors the run starts with

    config.model = ConfigDict(
        {
            'vision': vision,
            'llm': {
                'vocab': 49152,
                'width': 576,
                'layers': 30,
                'heads': 9,
                'kv_heads': 3,
                'head_dim': 64,
                'mlp': 1536,
                'rope_theta': 100000.0,
                'norm_eps': 1e-5,
                'tied_embeddings': True,
            },
            'lora': {'rank': 16, 'alpha': 32.0, 'dropout': 0.0},
            'prior': prior,
            'dtype': 'float32',  # bf16 is slower on a CPU
            'param_dtype': 'float32',
        }
    )
    config.base = ConfigDict(
        {
            'kind': 'embedded',
            'quantize': config_dict.placeholder(str),
            'vision': vision.to_dict(),
            'prior': prior.to_dict(),
            'tower': {
                'steps': 1800,
                'batch_size': 32,
                'lr': 1.2e-3,
                'weight_decay': 0.05,
                'max_shift': 4,
                'align_steps': 600,
                'align_batch_size': 32,
                'align_lr': 1e-3,
                'landmark_noise': 0.03,
                'seed': 1,
            },
        }
    )
    config.data = ConfigDict(
        {
            'dataset': 'synthetic_faces',
            'train_split': 'train',
            'synthetic_faces': {
                'image_size': 96,
                'train_faces': 2000,
                'validation_faces': 60,
                'test_faces': 140,
                'faces_per_person': 1,
                'form': 'short',
                'seed': 0,
            },
            'template': 'chatml',
            'pad_to_square': True,
            'length': 320,
            'segments': 4,
            'packing_bins': 32,
            'landmarks': 'computed',  # as `predict` will; noise is for exact ones
            'landmark_noise': 0.0,
            'label_weight': 5.0,  # few steps: most of them for what is scored
            'on_bad_record': 'drop',
            'processes': 2,
            'read_threads': 2,
            'workers': 0,  # reading processes; 0 leaves it to those threads
        }
    )
    config.train = ConfigDict(
        {
            'steps': 340,
            'batch_size': 2,
            'last_batch': 'run_on',  # steps are counted here, not epochs: every batch is full
            'loss_chunk': 64,
            'unroll': True,  # a compiled loop over layers costs a CPU a tenth of its time
            'accumulate': 1,
            'optimiser': {
                'lr': 1e-3,
                'projector_lr': 1e-3,
                'b2': 0.98,
                'warmup_ratio': 0.03,
                'final_ratio': 0.03,
                'clip_norm': 1.0,
            },
            'log_every': 5,
            'checkpoint_every': 40,
            'keep_checkpoints': 2,
            # Every so many steps (0 = never) answers are scored, and the best checkpoint is kept.
            'validate': {'every': 0, 'split': 'validation', 'limit': 0},
        }
    )
    config.eval = ConfigDict(
        {
            'split': 'test',
            'checkpoint': 'newest',
            'limit': 0,
            'refill': 0,
            'batch_size': 70,
            'max_new_tokens': {'emotion': 96, 'au': 224},
            'sampler': {'temperature': 0.0, 'top_k': 0, 'top_p': 1.0},
            'unroll': True,
            'merge': True,
            'control': True,
        }
    )
    config.mesh = ConfigDict({'data': -1, 'fsdp': 1, 'tensor': 1, 'dcn_data': 1})
    config.hosts = ConfigDict({'silence': 25})  # seconds that one of several may be paused

    if preset == 'long':
        config.data.synthetic_faces.train_faces = 8000
        config.train.steps = 4000
    if preset == 'int8':
        config.base.quantize = 'int8'
    if preset == 'nf4':
        config.base.quantize = 'nf4_fine'  # a small model bears 4 bits badly
    _priors.choose(config, row)
    return config
