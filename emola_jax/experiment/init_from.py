"""A run that starts from a checkpoint of any kind: `init_from` of its config.

The base and the sizes are the checkpoint's, and so are adapter and projectors; what it has none of
(plain LLaVA has no prior, a merged model no adapter) starts new.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from emola_jax.config.run import RunConfig
from emola_jax.config.sections import BaseConfig
from emola_jax.errors import UserError
from emola_jax.experiment import finished_run, sources, state, trained
from emola_jax.experiment.base import Base
from emola_jax.formats.hf_config_in import TOWER_FIELD
from emola_jax.formats.layouts import VISION
from emola_jax.formats.source import Source
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import param_shapes
from emola_jax.weights import hub


def resolved(config: RunConfig, *, whole: bool = False) -> RunConfig:
    """The config with sizes and base of the checkpoint that `init_from` names, if it names one.

    Args:
      config: of the new run.
      whole: take the model as it is, to answer with; nothing starts new.

    Raises:
      UserError: there is no such checkpoint, or config and checkpoint do not go together.
    """
    if not config.init_from:
        return config
    source = _read(config)
    # Its release trains EmoLA with one template and evaluates it with another.
    if source.template != config.data.template and jax.process_index() == 0:
        print(
            f'{config.init_from}: was trained with the template {source.template}, and is now used '
            f'with {config.data.template} (data.template)'
        )
    model = source.model if whole else _to_train(config, source)
    model = model.replace(
        dtype=config.model.dtype,
        param_dtype=config.model.param_dtype,
        remat=config.model.remat,
        scan=config.model.scan,
        quantize=config.model.quantize,
    )
    return dataclasses.replace(config, model=model, base=_base(config, source))


def started(config: RunConfig, base: Base) -> Base:
    """The base with the adapter and the projectors of `init_from`.

    Raises:
      UserError: the checkpoint was trained on another base, or its parameters don't fit.
    """
    if not config.init_from:
        return base
    source = _read(config)
    folder = hub.local_folder(config.init_from)
    identity = trained.identity(folder)
    if finished_run.is_run(folder):
        then, now = identity['base'], base.fingerprint
        if then != now:
            raise UserError(
                f'init_from {folder}: was trained on base weights {then}, but the config gives '
                f'{now} ({base.description})'
            )
    wanted = {path for path in param_shapes(config.model) if state.group_of(path)}
    given = {path: value for path, value in source.params.items() if path in wanted}
    new = sorted({state.group_of(path) or '' for path in wanted - given.keys()})
    if jax.process_index() == 0:
        starts = f'; new: {", ".join(new)}' if new else ''
        print(f'starts from {config.init_from} ({source.kind}){starts}')
    return dataclasses.replace(
        base,
        params=unflatten_dict({**flatten_dict(base.params), **given}),
        description=f'{base.description}; starts from {config.init_from} '
        f'({identity["checkpoint"]})',
    )


def _read(config: RunConfig) -> Source:
    named = config.base.kind == 'llava' and not _is_run(config)
    return sources.read(
        config.init_from,
        base=_if_there(config.base.llava) if named else None,
        clip=_if_there(config.base.clip) if named else None,
        with_base=False,
    )


def _is_run(config: RunConfig) -> bool:
    return finished_run.is_run(hub.local_folder(config.init_from))


def _if_there(name: str | None) -> str | None:
    """What the config names, unless it isn't there: then the checkpoint may name it rightly."""
    return name if name and (name.startswith(hub.SCHEME) or hub.is_there(name)) else None


def _to_train(config: RunConfig, source: Source) -> EmolaConfig:
    model, asked = source.model, config.model
    if model.lora is not None and asked.lora is not None:
        differing = [
            f'model.lora.{name} is {getattr(asked.lora, name)}, but it has '
            f'{getattr(model.lora, name)}'
            for name in ('rank', 'alpha', 'targets')
            if getattr(asked.lora, name) != getattr(model.lora, name)
        ]
        if differing:
            raise UserError(
                f'init_from {config.init_from}: {"; ".join(differing)}. Give the run the same, or '
                'merge the adapter (convert --to=hf) and start a new one from that'
            )
    if model.lora is not None and asked.lora is None:
        raise UserError(f'init_from {config.init_from}: has an adapter, but model.lora is None')
    if model.priors and not asked.priors:
        raise UserError(
            f'init_from {config.init_from}: reads landmarks, but model.prior.enabled is False'
        )
    keeps = model if model.priors else model.replace(prior=asked.prior)
    return keeps.replace(lora=asked.lora)


def _base(config: RunConfig, source: Source) -> BaseConfig:
    """Where the frozen weights below the checkpoint are."""
    asked = config.base
    folder = hub.local_folder(config.init_from)
    if finished_run.is_run(folder):
        own = trained.run_config(folder).base
        moved = asked.kind == own.kind == 'llava'
        return dataclasses.replace(
            own,
            quantize=asked.quantize,
            llava=(_if_there(asked.llava) if moved else None) or own.llava,
            clip=(_if_there(asked.clip) if moved else None) or own.clip,
        )
    is_adapter = source.model.lora is not None
    tower = source.foreign.get(TOWER_FIELD)
    has_tower = any(path[0] == VISION for path in source.params) and not is_adapter
    clip = _if_there(asked.clip) or (str(folder) if has_tower and not tower else tower)
    llava = _if_there(asked.llava) or source.base if is_adapter else str(folder)
    return BaseConfig('llava', llava=llava, clip=clip, quantize=asked.quantize)


def can_be_answered_with(config: RunConfig, workdir: Path) -> bool:
    """Whether nothing was trained in `workdir`, so that `init_from` itself is evaluated there."""
    return bool(config.init_from) and not finished_run.is_run(workdir)
