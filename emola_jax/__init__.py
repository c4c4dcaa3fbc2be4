"""EmoLA in JAX: facial affective behaviour analysis with instruction tuning."""

import sys
from pathlib import Path

if sys.argv[:1] == ['-m']:  # Python is looking for the module of `python -m emola_jax.…`
    from emola_jax.parallel import preemption

    __path__.append(str(Path(__file__).parent / 'cli'))  # where `emola_jax.score` is score.py
    preemption.listen_as_command(sys.orig_argv)
