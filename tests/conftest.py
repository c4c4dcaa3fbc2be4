"""Test environment; it must be set before anything imports jax."""

import functools
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


@pytest.fixture(scope='module')
def compiled_quickly():
    """Programs of the module are not optimised: for tests that compile more than they run.

    Those of its fixtures neither; set up before them.
    """
    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module')
def traced_once():
    """Trainings of the module that do the same step trace and compile it once.

    To trace the tiny model takes longer than to train it.
    """
    from emola_jax.training import loop
    from emola_jax.training import optimiser as optim

    original, made = loop.jitted_step, {}

    def shared(model, optimiser, config, mesh):
        fields = (config.loss_chunk, config.unroll, config.batch_size, config.accumulate)
        key = (loop.train_step, model, optimiser, mesh, *fields)
        if key not in made:
            made[key] = original(model, optimiser, config, mesh)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, 'jitted_step', shared)
        patch.setattr(optim, 'make_optimiser', functools.cache(optim.make_optimiser))
        yield


LONGEST = (
    'test_loop.py',
    'test_training_hosts.py',
    'test_main_job.py',
    'test_scheduler.py',
    'test_evaluate.py',
    'test_programs.py',
    'test_quantize.py',
    'test_comparison.py',
    'test_host_watch.py',
    'test_gguf.py',
)
"""Files that take a minute and more: they begin first, lest one of them is left for the end."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (*LONGEST, item.path.name).index(item.path.name))


def pytest_unconfigure():
    shutil.rmtree(os.environ['HF_MODULES_CACHE'], ignore_errors=True)
