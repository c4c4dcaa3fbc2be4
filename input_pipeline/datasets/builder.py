"""What every TFDS data set of this project shares: its features, and how a finished one is read."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from emola_jax.errors import UserError
from emola_jax.files import read_json
from input_pipeline.records import Record


def record_features() -> tfds.features.FeaturesDict:
    """The features of a `Record`, as they lie in the array_record files."""
    return tfds.features.FeaturesDict(
        {
            'id': tfds.features.Text(),
            'image': np.bytes_,
            'landmarks': tfds.features.Tensor(shape=(212,), dtype=np.float32),
            'task': tfds.features.Text(),
            'instruction': tfds.features.Text(),
            'response': tfds.features.Text(),
            'emotion': np.int32,
            'aus': tfds.features.Sequence(np.int32),
            'source': tfds.features.Text(),
        }
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps back TFDS's bars, its sentences about a download and its warning of a new config."""
    tfds.disable_progress_bar()
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)


@dataclasses.dataclass(frozen=True)
class BuiltSource:
    """A split of a finished data set as a random-access source of records."""

    rows: Any

    def __len__(self) -> int:
        """The number of records."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """The record at `index`."""
        return Record.from_features(self.rows[index])


def is_finished(root: Path) -> bool:
    """Whether `root` holds a data set that was written to its end."""
    return (root / 'dataset_info.json').is_file()


def load(root: Path, split: str) -> BuiltSource:
    """Random access to the records of a split; 'part1+part2' reads one behind the other.

    Raises:
      UserError: `root` is no finished data set, its features are of other types than ours, or it
        has no such split.
    """
    if not is_finished(root):
        raise UserError(f'{root} holds no finished data set')
    _check_features(root)
    builder = tfds.builder_from_directory(str(root))
    if unknown := [name for name in split.split('+') if name not in builder.info.splits]:
        raise UserError(f'split {unknown[0]!r}: {root} has {", ".join(builder.info.splits)}')
    return BuiltSource(builder.as_data_source(split=split))


def _check_features(root: Path) -> None:
    """Raises UserError if a data set's features.json names types that we do not write.

    TFDS imports the module of whatever type is named, from the working folder too.
    """
    path = root / 'features.json'
    own = set(_types(record_features().to_json()))
    try:
        unknown = set(_types(read_json(path))) - own
    except RecursionError:
        raise UserError(f'{path}: nested too deep') from None
    if unknown:
        names = ', '.join(sorted(f'{name!r:.80}' for name in unknown)[:3])
        raise UserError(f'{path}: names the feature {names}; expected {", ".join(sorted(own))}')


def _types(value: Any) -> Iterator[Any]:
    """What a description of features says of types, at any depth."""
    if isinstance(value, dict):
        for field, inner in value.items():
            if field in ('type', 'pythonClassName', 'python_class_name', 'proto_cls'):
                yield inner if isinstance(inner, str) else repr(inner)
            yield from _types(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _types(inner)
