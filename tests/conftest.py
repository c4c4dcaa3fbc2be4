"""Test environment; it must be set before anything imports jax."""

import os

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = ' '.join(
    [os.environ.get('XLA_FLAGS', ''), '--xla_force_host_platform_device_count=8']
).strip()
os.environ['HF_HUB_OFFLINE'] = '1'  # no test may depend on a network
os.environ['MPLBACKEND'] = 'Agg'

from absl import flags

flags.FLAGS.mark_as_parsed()  # grain reads absl flags
