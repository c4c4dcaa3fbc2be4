"""The paper's run on the larger base: LLaVA-1.5-13B; everything else is `configs/emola.py`.

python -m emola_jax.main --config=configs/emola_13b.py:au --workdir=runs/emola_13b
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs import emola


def get_config(task: str = 'emotion') -> ConfigDict:
    """The values of `configs/emola.py` for the same argument, with Vicuna-13B's sizes."""
    config = emola.get_config(task)
    config.model.llm.update({'width': 5120, 'layers': 40, 'heads': 40, 'kv_heads': 40})
    config.model.llm.mlp = 13824
    config.base.llava = 'weights/llava-v1.5-13b'
    return config
