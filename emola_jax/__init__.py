"""EmoLA in JAX: facial affective behaviour analysis with instruction tuning."""

import sys

if sys.argv[:1] == ['-m']:  # Python is looking for the module of `python -m emola_jax.…`
    from emola_jax import preemption

    preemption.listen_as_command(sys.orig_argv)
