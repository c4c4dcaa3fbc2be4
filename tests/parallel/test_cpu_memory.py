import subprocess
import sys

import jax
import numpy as np
import pytest

from emola_jax.parallel import cpu_memory

pytestmark = pytest.mark.skipif(cpu_memory._glibc() is None, reason='another C library')
COMPILED = '/jax/core/compile/backend_compile_duration'


def test_the_call_finds_the_program_that_was_compiled_apart():
    seen = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: seen.append(event) if event == COMPILED else None
    )
    function = jax.jit(lambda x: (x @ x).sum() - 3)
    x = np.ones((17, 17), np.float32)
    temporaries = cpu_memory.compile_apart(function, x)
    assert len(seen) == 1
    assert x.nbytes <= temporaries < 64 * x.nbytes  # the product
    assert float(function(x)) == 17**3 - 3
    assert len(seen) == 1


_STEPS = """
import resource
import jax
jax.config.update('jax_num_cpu_devices', 1)
from emola_jax.parallel import cpu_memory
cpu_memory.keep()
step = jax.jit(lambda x: (jax.numpy.sin(x) @ x[:, :16]).sum())
x = jax.numpy.ones((4096, 4096))
cpu_memory.compile_apart(step, x)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = faults()
print(min(faults() for _ in range(4)), first)
"""


def test_later_calls_map_no_memory_anew():
    """The sines are 64 MB, 16384 pages."""
    told = subprocess.run(
        [sys.executable, '-c', _STEPS], capture_output=True, text=True, check=True, timeout=300
    )
    later, first = map(int, told.stdout.split())
    assert first > 16384
    assert later < 1000


_KEPT = """
import jax
jax.config.update('jax_num_cpu_devices', 1)
from emola_jax.parallel import cpu_memory
cpu_memory.keep()
def resident():
    pages = int(open('/proc/self/statm').read().split()[1])
    return pages * 4096 >> 20
step = jax.jit(lambda x: (jax.numpy.sin(x) @ x[:, :16]).sum())
x = jax.numpy.ones((4096, 4096))
step(x).block_until_ready()
kept = resident()
cpu_memory.give_back()
print(kept, resident())
"""


def test_kept_memory_is_given_back():
    """The sines are 64 MB."""
    told = subprocess.run(
        [sys.executable, '-c', _KEPT], capture_output=True, text=True, check=True, timeout=300
    )
    kept, left = map(int, told.stdout.split())
    assert left < kept - 48
