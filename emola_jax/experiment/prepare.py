"""A config turned into the objects of a run: data, tokenizer, model, mesh and base weights."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from pathlib import Path

import jax
from jax.sharding import Mesh

from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import base as bases
from emola_jax.experiment import init_from
from emola_jax.experiment import splits as data
from emola_jax.experiment.base import Base
from emola_jax.experiment.splits import Data
from emola_jax.files.json_values import JsonObject
from emola_jax.models.emola import Emola, Params
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.parallel import hosts, sharding

VERSIONS = ('jax', 'flax', 'optax', 'orbax-checkpoint', 'grain', 'numpy')
"""Packages whose versions a report states."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that training and evaluation share.

    Attributes:
      config: of the run.
      workdir: the run's folder.
      model: the Flax module; holds sizes, no weights.
      mesh: the devices.
      tokenizer: of the language model.
      data: the checked records of every split and how they become batches.
      base: where the frozen weights came from.
      frozen: frozen parameters on the mesh.
      trainable: trainable parameters as a new run starts with them, on the mesh.
    """

    config: RunConfig
    workdir: Path
    model: Emola
    mesh: Mesh
    tokenizer: Tokenizer
    data: Data
    base: Base
    frozen: Params
    trainable: Params


def prepare(config: RunConfig, workdir: Path) -> Experiment:
    """Builds it all; what is at fault in config, data or weights is a UserError from here."""
    missing = bases.missing(config.base) + data.missing(config)
    if missing:
        raise UserError('files that this config needs are missing:\n  ' + '\n  '.join(missing))
    bases.check(config.base, config.model)
    mesh = sharding.make_mesh(dataclasses.asdict(config.mesh))
    opened = bases.open_language_model(config.base)
    tokenizer = bases.load_tokenizer(config.base, opened)
    is_first = jax.process_index() == 0
    run_data = data.load(config, config.model, tokenizer, workdir, reports=is_first)
    base = bases.load(config, config.model, run_data, tokenizer, opened)
    base = init_from.started(config, base)
    del opened  # its fields take memory
    frozen, trainable = bases.place(config.model, base, mesh, seed=config.seed)
    hosts.wait_for_hosts('experiment is prepared')
    return Experiment(
        config=config,
        workdir=workdir,
        model=Emola(config.model),
        mesh=mesh,
        tokenizer=tokenizer,
        data=run_data,
        base=base,
        frozen=frozen,
        trainable=trainable,
    )


def metadata(experiment: Experiment) -> JsonObject:
    """What a checkpoint and a report say of the run: the whole config, the base, the versions."""
    return {
        'config': experiment.config.to_dict(),
        'base': {
            'fingerprint': experiment.base.fingerprint,
            'description': experiment.base.description,
        },
        'data': experiment.data.summary(),
        'labelled_aus': list(experiment.data.labelled_aus),
        'versions': {name: importlib.metadata.version(name) for name in VERSIONS},
    }
