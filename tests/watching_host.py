"""One process of a run of several that only counts, without a model.

`python -m tests.watching_host WORK SILENCE`: WORK is 'train' (a training loop: each step is a sum
over all hosts, and a line of output), 'idle' (nothing is asked of the others) or 'fail' (process 1
ends with a UserError while process 0 waits for it). Who the processes are is in the environment.
"""

import sys
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

from emola_jax.cli import command
from emola_jax.errors import Preempted, UserError
from emola_jax.parallel import host_watch, hosts


def count():
    """Steps without end; leaves behind the step that all hosts agree on."""
    watch = host_watch.watch()
    with watch.training():
        for step in range(1, 100_000):
            total = multihost_utils.process_allgather(np.ones(2)).sum()
            assert total == 2 * jax.process_count()
            print(f'step {step}', flush=True)
            if watch.stops_behind(step):
                raise Preempted(f'stopped after step {step}')
            time.sleep(0.05)


def main(work, silence):
    hosts.join_hosts(silence=int(silence))
    with hosts.all_or_none():
        print('joined', flush=True)
        if work == 'train':
            count()
        elif work == 'idle':
            time.sleep(600)
        elif jax.process_index() == 1:
            raise UserError('photo.jpg: cannot be read')
        else:
            time.sleep(600)


if __name__ == '__main__':
    with command.exits_with_a_sentence('tool'):
        main(*sys.argv[1:])
