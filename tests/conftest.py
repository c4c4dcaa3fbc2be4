"""Test environment; it must be set before anything imports jax."""

import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = ' '.join(
    [
        os.environ.get('XLA_FLAGS', ''),
        '--xla_force_host_platform_device_count=8',
        # A third less time to compile. XLA ends the process at a flag that it lacks.
        '--xla_cpu_use_fusion_emitters=false'
        * importlib.metadata.version('jaxlib').startswith('0.10.'),
    ]
).strip()
os.environ['HF_HUB_OFFLINE'] = '1'  # no test may depend on a network
os.environ['MPLBACKEND'] = 'Agg'
# transformers copies the modeling files of written folders there and imports the copies.
os.environ['HF_MODULES_CACHE'] = tempfile.mkdtemp(prefix='emola_jax_modules_')
# Many tests compile the same tiny programs; workers and later runs share them.
os.environ['JAX_COMPILATION_CACHE_DIR'] = str(Path(tempfile.gettempdir()) / 'emola_jax_tests')
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'

import jax
import pytest
from absl import flags

flags.FLAGS.mark_as_parsed()  # grain reads absl flags


@pytest.fixture
def compiled_quickly():
    """Programs compiled in it are not optimised: for tests that compile more than they run."""
    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', False)


def pytest_unconfigure():
    shutil.rmtree(os.environ['HF_MODULES_CACHE'], ignore_errors=True)
