"""TPU chips as Google's Cloud documentation states them (pages 'TPU v4', 'v5e', 'v5p', 'v6e')."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from typing import TYPE_CHECKING

from emola_jax import extras
from emola_jax.errors import UserError

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip.

    Attributes:
      name: as in a topology's name.
      hbm: bytes of main memory.
      flops: bf16 operations a second.
      hbm_rate: bytes a second between main memory and the cores.
      ici_rate: bytes a second that a chip sends over all its links.
      host: chips along each axis that one host has.
      cores: what libtpu calls a chip's way of showing its cores; 'megacore' is one device a chip.
    """

    name: str
    hbm: float
    flops: float
    hbm_rate: float
    ici_rate: float
    host: str
    cores: str = 'default'


GIB = 2.0**30

CHIPS = {
    chip.name: chip
    for chip in (
        Chip('v4', 32 * GIB, 275e12, 1228e9, 300e9, '2x2x1', 'megacore'),
        Chip('v5e', 16 * GIB, 197e12, 819e9, 200e9, '2x4'),
        Chip('v5p', 95 * GIB, 459e12, 2765e9, 600e9, '2x2x1', 'megacore'),
        Chip('v6e', 32 * GIB, 918e12, 1640e9, 400e9, '2x4'),
    )
}


def chip_of(topology: str) -> Chip:
    """The chip of a topology such as 'v5e:8x8'.

    Raises:
      UserError: no such chip, or no sizes.
    """
    name, _, sizes = topology.partition(':')
    if name not in CHIPS or not all(s.isdecimal() and int(s) for s in sizes.split('x')):
        examples = ', '.join(f'{chip.name}:{chip.host}' for chip in CHIPS.values())
        raise UserError(f'--topology {topology!r}: expected CHIP:SIZES, for example {examples}')
    return CHIPS[name]


def check_libtpu() -> None:
    """Nothing, where libtpu is installed.

    Raises:
      UserError: it isn't; says how to get it.
    """
    if importlib.util.find_spec('libtpu') is None:
        raise UserError(
            f'libtpu is not installed: {extras.install("tpu")} (into an environment of its own, '
            'since with it plain runs look for a TPU)'
        )


def devices_of(topology: str) -> list[jax.Device]:
    """The devices of a TPU topology, to compile for; no TPU is needed, only the extra `tpu`.

    Raises:
      UserError: libtpu isn't installed, or knows no such topology.
    """
    chip = chip_of(topology)
    check_libtpu()
    # libtpu otherwise asks Google's metadata server, and locks the machine's TPU for itself.
    os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
    os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
    os.environ.setdefault('TPU_ACCELERATOR_TYPE', 'v5litepod-1')
    os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
    os.environ.setdefault('TPU_MIN_LOG_LEVEL', '3')
    from jax.experimental import topologies

    try:
        described = topologies.get_topology_desc(
            topology, platform='tpu', chip_config_name=chip.cores
        )
    except Exception as error:
        raise UserError(f'--topology {topology}: libtpu refuses it: {error}') from error
    return list(described.devices)
