"""What processes that a test starts have in their environment."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def quick(devices=0):
    """This process's environment, with what makes runs of tiny models short.

    Their programs are not optimised, as in `compiled_quickly`, and TensorBoard's writer, which
    imports PyTorch for seconds where it can, finds none: a run needs none.

    Args:
      devices: fake ones of the CPU; 0 leaves their number to the command.
    """
    flags = [flag for flag in os.environ['XLA_FLAGS'].split() if 'device_count' not in flag]
    if devices:
        flags.append(f'--xla_force_host_platform_device_count={devices}')
    paths = (CHECKOUT, CHECKOUT / 'tests' / 'without_torch')
    # Compiled programs go where the command puts them: a killed one may leave half an entry.
    kept = {k: v for k, v in os.environ.items() if k != 'JAX_COMPILATION_CACHE_DIR'}
    return {
        **kept,
        'XLA_FLAGS': ' '.join(flags),
        'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',
        'PYTHONPATH': os.pathsep.join(map(str, paths)),
    }
