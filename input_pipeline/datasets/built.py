"""What every TFDS data set of this project shares: its features, and how a finished one is read."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from emola_jax.errors import UserError
from emola_jax.files import checksums
from emola_jax.files.checksums import SUMS_FILE, Damaged
from emola_jax.files.whole import read_json
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


class LocalInfo(tfds.core.DatasetInfo):
    """The metadata of a data set that only this project builds, with checksums of all files.

    TFDS writes the metadata last and names the folder afterwards, so a finished data set has both.
    """

    def initialize_from_bucket(self) -> None:
        """Nothing: TFDS would ask its own bucket, and leave a temporary folder at every build."""

    def write_to_directory(self, dataset_info_dir: Any, all_metadata: bool = True) -> None:
        """Writes the metadata and SHA256SUMS."""
        super().write_to_directory(dataset_info_dir, all_metadata=all_metadata)
        checksums.write(Path(dataset_info_dir))


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
    """A split of a finished data set as a random-access source of records.

    Attributes:
      rows: TFDS's source of features.
      shards: (file, records of it that are read), in order.
    """

    rows: Any
    shards: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        """The number of records."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """The record at `index`.

        Raises:
          UserError: its file is damaged. array_record keeps hashes of its own, of every record.
        """
        try:
            return Record.from_features(self.rows[index])
        except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
            reason = ' '.join(str(error).split())[:200]
            raise UserError(
                f'{self._shard_of(index)}: is damaged ({reason}); remove its folder, so that the '
                'data set is built again'
            ) from error

    def _shard_of(self, index: int) -> str:
        for path, count in self.shards:
            if index < count:
                return path
            index -= count
        return 'the data set'


def is_finished(root: Path) -> bool:
    """Whether `root` holds a data set that was written to its end."""
    return (root / 'dataset_info.json').is_file()


def load(root: Path, split: str) -> BuiltSource:
    """Random access to the records of a split; 'part1+part2' reads one behind the other.

    Raises:
      UserError: `root` is no finished data set, its metadata are damaged or name other features
        than ours, or it has no such split.
    """
    if not is_finished(root):
        raise UserError(f'{root} holds no finished data set')
    check_metadata(root)
    _check_features(root)
    builder = _open(root)
    if unknown := [name for name in split.split('+') if name not in builder.info.splits]:
        raise UserError(f'split {unknown[0]!r}: {root} has {", ".join(builder.info.splits)}')
    files = builder.info.splits[split].file_instructions
    shards = tuple((str(file.filename), int(file.take)) for file in files)
    return BuiltSource(builder.as_data_source(split=split), shards)


def _open(root: Path) -> Any:
    try:
        return tfds.builder_from_directory(str(root))
    except Exception as error:  # what TFDS and its parsers raise for damaged JSON
        reason = ' '.join(str(error).split())[:200]
        raise UserError(
            f'{root}: its metadata cannot be read ({reason}); remove the folder, so that the data '
            'set is built again'
        ) from error


def check_metadata(root: Path) -> None:
    """Compares the small files of a finished data set with its checksums.

    Shards are left to array_record, which notices a changed record as it reads it.

    Raises:
      UserError: one of them is damaged; names it.
    """
    try:
        is_checked = checksums.check(root, lambda name: name.endswith('.json'))
    except Damaged as error:
        raise UserError(
            f'{error}; remove the folder, so that the data set is built again'
        ) from None
    if not is_checked:
        _note_unchecked(root)


@functools.cache
def _note_unchecked(root: Path) -> None:
    print(
        f'{root}: its metadata are not checked, since an older version wrote it without '
        f'{SUMS_FILE}',
        file=sys.stderr,
    )


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
