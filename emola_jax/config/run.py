"""The config of a run as one frozen record, made once from a config file or a run's config.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import ml_collections

from emola_jax.config import checks
from emola_jax.config.eval import EvalConfig
from emola_jax.config.quantize import PRESETS, quantization
from emola_jax.config.sections import (
    BaseConfig,
    DataConfig,
    HostsConfig,
    MeshConfig,
    OptimiserConfig,
    TowerConfig,
    TrainConfig,
    ValidateConfig,
)
from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.formats import sizes
from emola_jax.generation.sampler import Sampler
from emola_jax.models.config import EmolaConfig, PriorConfig, VisionConfig
from input_pipeline.datasets.synthetic_faces import FacesConfig

Record = TypeVar('Record')


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a config file decides.

    Attributes:
      seed: of initialisation, order and noise.
      cpu_devices: virtual devices that share a machine without an accelerator; 0 leaves it to JAX.
      model: sizes and options, its base stored as `base.quantize` says.
      base: the frozen weights.
      data: the data set.
      train: the training.
      eval: the evaluation.
      mesh: devices by axis.
      hosts: a run of several hosts.
      init_from: the checkpoint whose adapter and projectors a run starts with; '' is none.
    """

    seed: int
    cpu_devices: int
    model: EmolaConfig
    base: BaseConfig
    data: DataConfig
    train: TrainConfig
    eval: EvalConfig
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    hosts: HostsConfig = dataclasses.field(default_factory=HostsConfig)
    init_from: str = ''

    @classmethod
    def from_config_dict(cls, config: ml_collections.ConfigDict) -> RunConfig:
        """The record of what a config file and the flags `--config.FIELD=VALUE` give.

        Raises:
          UserError: see `from_dict`.
        """
        return cls.from_dict(config.copy_and_resolve_references().to_dict())

    @classmethod
    def from_dict(cls, values: JsonObject) -> RunConfig:
        """The record of nested plain values; `to_dict` goes back.

        Raises:
          UserError: a field is unknown, is missing, holds what it can't hold, or doesn't go with
            another; each with its name.
        """
        checks.check(values)
        return _built(values)

    @classmethod
    def of_run(cls, values: object, where: str) -> RunConfig:
        """The record of what a run keeps of its config, whatever version made it.

        Its data set may be one that is not known here: the code that needs it reports that.

        Args:
          values: the field 'config' of the run's JSON.
          where: the file, for messages.

        Raises:
          UserError: see `from_dict`.
        """
        if not isinstance(values, dict):
            raise UserError(
                f"{where}: field 'config' is {checks.shown(values)}; expected a config's fields"
            )
        if faults := checks.faults(values, passed_over=('data.dataset',)):
            raise UserError(f'{where}: not what a run writes: config: {"; ".join(faults)}')
        try:
            return _built(values)
        except UserError as error:
            raise UserError(f'{where}: not what a run writes: config: {error}') from None

    def to_dict(self) -> JsonObject:
        """Nested plain values (JSON-ready), without optional fields that are not given."""
        values = {field.name: _plain(getattr(self, field.name)) for field in _fields(self)}
        more = {name: _plain(prior) for name, prior in self.model.more_priors}
        values['model'] |= {'more_priors': more}
        values['model'].pop('quantize', None)
        names = [name for name, kind in PRESETS.items() if kind == self.base.quantize]
        if names:
            values['base']['quantize'] = names[0]
        return values

    def with_eval(self, **changes: Any) -> RunConfig:
        """A copy with other fields of its section `eval`."""
        return dataclasses.replace(self, eval=dataclasses.replace(self.eval, **changes))


def _built(values: JsonObject) -> RunConfig:
    base = _base(values['base'])
    model = EmolaConfig.from_config_dict(values.get('model', {}))
    if faults := sizes.faults(model):
        raise UserError('\n  '.join(f'model.{one}' for one in faults))
    return RunConfig(
        seed=values['seed'],
        cpu_devices=values['cpu_devices'],
        model=model.replace(quantize=base.quantize),
        base=base,
        data=_section(DataConfig, values, 'data', synthetic_faces=FacesConfig),
        train=_section(
            TrainConfig, values, 'train', optimiser=OptimiserConfig, validate=ValidateConfig
        ),
        eval=_section(EvalConfig, values, 'eval', sampler=Sampler),
        mesh=_section(MeshConfig, values, 'mesh'),
        hosts=_section(HostsConfig, values, 'hosts'),
        init_from=values.get('init_from', ''),
    )


def _base(values: JsonObject) -> BaseConfig:
    asked = {'base': {**values, 'quantize': quantization(values.get('quantize'))}}
    return _section(
        BaseConfig, asked, 'base', vision=VisionConfig, prior=PriorConfig, tower=TowerConfig
    )


def _section(record: type[Record], values: JsonObject, name: str, **sections: type) -> Record:
    """A section as its record; `sections` are the records of sections within it."""
    given = dict(values.get(name, {}))
    for inner, kind in sections.items():
        if inner in given:
            given[inner] = _record(kind, given[inner], f'{name}.{inner}.')
    return _record(record, given, f'{name}.')


def _record(record: type[Record], values: JsonObject, prefix: str) -> Record:
    missing = [
        prefix + field.name
        for field in dataclasses.fields(record)  # type: ignore[arg-type]
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UserError(f'the config lacks {", ".join(missing)}')
    # A record is hashable where it can be, as `jax.jit` wants its static arguments.
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return record(**plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        found = {field.name: getattr(value, field.name) for field in _fields(value)}
        return {name: _plain(one) for name, one in found.items()}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _fields(record: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a record, except those that are None unless given."""
    return [
        field
        for field in dataclasses.fields(record)
        if field.default is not None or getattr(record, field.name) is not None
    ]


def differing(one: RunConfig, other: RunConfig) -> list[str]:
    """Names of the fields in which two configs differ, except those that change no result."""
    first, second = (dict(checks.flatten(config.to_dict())) for config in (one, other))
    names = (name for name in first.keys() | second.keys() if not checks.is_free(name))
    return sorted(name for name in names if first.get(name) != second.get(name))
