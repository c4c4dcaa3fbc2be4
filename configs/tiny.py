"""Everything in seconds: random weights, two dozen rendered faces. It learns nothing worth showing.

python -m emola_jax.main --config=configs/tiny.py --workdir=/tmp/tiny

`configs/tiny.py:ROW` is a row of the ablation, as in configs/mini.py.
"""

from __future__ import annotations

from ml_collections import ConfigDict, config_dict

from configs import _priors, mini


def get_config(argument: str = '') -> ConfigDict:
    """The experiment's values: the embedded default's, at toy size; `argument` may name a row."""
    _, row = _priors.take_row(argument, (), 'configs/tiny.py')
    config = mini.get_config()
    config.model = ConfigDict(
        {
            'vision': {
                'image_size': 28,
                'patch_size': 14,
                'width': 16,
                'layers': 3,
                'heads': 2,
                'mlp': 32,
            },
            'llm': {
                'vocab': 264,
                'width': 32,
                'layers': 2,
                'heads': 4,
                'kv_heads': 2,
                'head_dim': 8,
                'mlp': 48,
            },
            'lora': {'rank': 4, 'alpha': 8.0, 'dropout': 0.0},
        }
    )
    config.base = ConfigDict({'kind': 'random', 'quantize': config_dict.placeholder(str)})
    config.data.synthetic_faces.update(
        {'image_size': 48, 'train_faces': 16, 'validation_faces': 4, 'test_faces': 8}
    )
    config.data.update({'length': 1024, 'segments': 2, 'packing_bins': 2})
    # Exact ones, shaken: to find faces takes longer than all the rest.
    config.data.update({'landmarks': 'given', 'landmark_noise': 0.03})
    config.train.update({'steps': 6, 'log_every': 1, 'checkpoint_every': 2})
    config.eval.update({'batch_size': 4, 'max_new_tokens': {'emotion': 16, 'au': 16}})
    _priors.choose(config, row)
    return config
