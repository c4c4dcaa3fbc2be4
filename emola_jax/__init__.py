"""EmoLA in JAX: facial affective behaviour analysis with instruction tuning.

`emola_jax.api` documents what is offered here; it is imported at the first use of a name.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emola_jax.api import (
        Emola,
        Run,
        convert,
        evaluate,
        load,
        register_dataset,
        score,
        train,
    )
    from emola_jax.errors import UserError
    from emola_jax.predict.model import FaceAnswer

__all__ = [
    'Emola',
    'FaceAnswer',
    'Run',
    'UserError',
    'convert',
    'evaluate',
    'load',
    'register_dataset',
    'score',
    'train',
]

_ELSEWHERE = {'FaceAnswer': 'emola_jax.predict.model', 'UserError': 'emola_jax.errors'}


def __getattr__(name: str) -> object:
    """A name of the public API; importing the package alone imports none of what it needs."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    import importlib

    return getattr(importlib.import_module(_ELSEWHERE.get(name, 'emola_jax.api')), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if sys.argv[:1] == ['-m']:  # Python is looking for the module of `python -m emola_jax.…`
    from emola_jax.parallel import preemption

    __path__.append(str(Path(__file__).parent / 'cli'))  # where `emola_jax.score` is score.py
    preemption.listen_as_command(sys.orig_argv)
