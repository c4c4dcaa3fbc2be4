"""Processes and devices, set up before the first array is made."""

from __future__ import annotations

import os

import jax
import ml_collections
from absl import logging

from emola_jax import assets

CLUSTER_VARIABLES = ('COORDINATOR_ADDRESS', 'SLURM_JOB_ID', 'TPU_WORKER_HOSTNAMES')
"""One of them is set where several processes make one run."""


def start(config: ml_collections.ConfigDict) -> None:
    """Joins the other processes of a cluster, splits the CPU, opens the compilation cache.

    `config.cpu_devices` virtual devices share a machine without an accelerator: the batch is split
    over them, which uses the cores better than threads inside one device.
    """
    logging.set_verbosity(logging.ERROR)  # orbax tells every rename at INFO, amid the progress bars
    jax.config.update('jax_compilation_cache_dir', str(assets.cache_dir() / 'compiled'))
    given = 'xla_force_host_platform_device_count' in os.environ.get('XLA_FLAGS', '')
    if config.cpu_devices and not given:
        jax.config.update('jax_num_cpu_devices', config.cpu_devices)
    if any(os.environ.get(name) for name in CLUSTER_VARIABLES):
        jax.distributed.initialize()
