"""TFDS data sets of pictures and labels that a user got from their owners.

    built = build(Disfa, Options(task='au'), root=Path('data'), data_dir=…)
    source = builder.load(built, 'part1+part2')

Everything is looked at before anything is written. Shards are written one after the other, and a
finished one is kept: after a kill the same call checks and writes only what is left. The folder's
name follows the label files, the files' sizes and times, and the options; so what is built is
built once, and what changed is built again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.locks import waiting_turn
from emola_jax.files.texts import is_text
from emola_jax.files.whole import atomic_write
from input_pipeline.datasets import built as builder
from input_pipeline.datasets.build_plan import BLOCK, DataSet, Plan, fingerprint, make_plan
from input_pipeline.datasets.items import Item, Options, read
from input_pipeline.records import Record

_VERSION = '1.0.0'
_THREADS = 4


def build(
    faces: type[FaceBuilder],
    options: Options,
    *,
    root: Path,
    data_dir: Path,
    drop: bool = False,
    threads: int = _THREADS,
) -> Path:
    """Checks and writes a data set unless that is done; returns its folder.

    Args:
      faces: the data set's TFDS builder.
      options: what of it.
      root: where the owners' files are; see `DataSet.instructions`.
      data_dir: the folder of all TFDS data sets; also keeps, until the data set is complete, its
        finished shards.
      drop: leave bad records out and count them, instead of stopping.
      threads: readers of pictures.

    Raises:
      UserError: files are missing (each is named, with where to get it), or anything is wrong with
        them (all of it is listed).
    """
    data_set = faces.DATA_SET
    if not is_text(str(data_dir)):
        raise UserError(f'{data_dir}: array_record writes below names in UTF-8 only; name another')
    data_dir.mkdir(parents=True, exist_ok=True)
    found = data_set.look(root, options)
    key = fingerprint(data_set, options, found, drop=drop)
    with waiting_turn(data_dir / f'.{data_set.name}-{key}.lock', f'builds {data_set.title}'):
        built = data_dir / data_set.name / key / _VERSION
        if builder.is_finished(built):
            return built
        for left in built.parent.glob('incomplete*'):  # TFDS's own, of a killed builder
            shutil.rmtree(left, ignore_errors=True)
        work = data_dir / f'{data_set.name}-building-{key}'
        try:
            plan = make_plan(data_set, options, found, work, drop=drop, threads=threads)
        except UserError:
            shutil.rmtree(work, ignore_errors=True)  # what is mended gets another key
            raise
        _write(faces, plan, key, data_dir)
    return built


def describe(built: Path) -> JsonObject:
    """What was built: data set, options, records and labels by split, what was left out and why.

    Raises:
      UserError: `built` is no finished data set of this kind, or its metadata are damaged.
    """
    path = built / 'metadata.json'
    if not builder.is_finished(built) or not path.is_file():
        raise UserError(f'{built} holds no finished data set with its metadata.json')
    builder.check_metadata(built)
    return json.loads(path.read_text(encoding='utf-8'))


@dataclasses.dataclass(eq=False)
class _TfdsConfig(tfds.core.BuilderConfig):
    plan: Plan | None = None


class FaceBuilder(tfds.core.ShardBasedBuilder):
    """Writes items shard by shard; `build` checks them first and gives the plan.

    Of TFDS's builder types it is the one whose shards are known beforehand, so that finished ones
    can be kept after a kill, and that keeps the order (frames of a video stay together). Without a
    plan it is a TFDS builder like any other, which finds the owners' files in `manual_dir`.
    """

    VERSION = tfds.core.Version(_VERSION)
    DATA_SET: ClassVar[DataSet]

    def _info(self) -> builder.LocalInfo:
        summary = self._plan.summary if self._plan else {}
        return builder.LocalInfo(
            builder=self,
            features=builder.record_features(),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(summary),
        )

    @property
    def _plan(self) -> Plan | None:
        return getattr(self.builder_config, 'plan', None)

    @property
    def _work(self) -> Path:
        own = Path(self._data_dir_root) / f'{self.name}-building'
        return self._plan.work if self._plan else own

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence[_Shard]]:
        plan = self._plan
        if plan is None:
            plan = self._own_plan(Path(dl_manager.manual_dir))
            self.info.metadata.update(plan.summary)
        shards = {}
        for split, items in plan.by_split().items():
            blocks = [items[start : start + BLOCK] for start in range(0, len(items), BLOCK)]
            files = self._get_filename_template(split)
            shards[split] = [
                _Shard(
                    block,
                    plan.work
                    / files.sharded_filepath(shard_index=index, num_shards=len(blocks)).name,
                    plan.advance,
                )
                for index, block in enumerate(blocks)
            ]
        return shards

    def _own_plan(self, root: Path) -> Plan:
        data_set = self.DATA_SET
        options = Options(task='mix' if len(data_set.tasks) > 1 else data_set.tasks[0])
        shutil.rmtree(self._work, ignore_errors=True)  # of files that may have changed since
        found = data_set.look(root, options)
        return make_plan(data_set, options, found, self._work, drop=False, threads=_THREADS)

    def _download_and_prepare(self, *args: Any, **options: Any) -> None:
        super()._download_and_prepare(*args, **options)
        shutil.rmtree(self._work, ignore_errors=True)

    def _example_writer(self) -> tfds.core.dataset_builder.writer_lib.ExampleWriter:
        return _KeepsShards(self.info.file_format, self._work)


@dataclasses.dataclass(frozen=True)
class _Shard:
    """Reads the records of one file; only counts them if the file is there already."""

    items: Sequence[Item]
    kept: Path
    advance: Callable[[int], object]

    def __call__(self) -> Iterator[tuple[int, JsonObject]]:
        is_kept = self.kept.is_file()
        for number, item in enumerate(self.items):
            yield number, {} if is_kept else _features(read(item))
            self.advance(1)


class _KeepsShards(tfds.core.dataset_builder.writer_lib.ExampleWriter):
    """Writes shards to a folder of their own, whole or not at all, and links them into place."""

    def __init__(self, file_format: object, folder: Path) -> None:
        super().__init__(file_format)
        self._folder = folder

    def write(self, path: Any, examples: Any) -> None:
        kept = self._folder / Path(path).name
        if not kept.is_file():
            with atomic_write(kept) as partial:
                super().write(partial, examples)
        try:
            os.link(kept, path)
        except OSError:  # a file system without hard links
            shutil.copyfile(kept, path)


def _features(record: Record) -> JsonObject:
    """A record as `builder.record_features` has it."""
    return {**vars(record), 'aus': list(record.aus)}


def _write(faces: type[FaceBuilder], plan: Plan, key: str, data_dir: Path) -> None:
    name = faces.DATA_SET.name
    with tqdm(total=len(plan.items), desc=f'build {name}', unit='record') as bar, builder.quiet():
        config = _TfdsConfig(name=key, plan=dataclasses.replace(plan, advance=bar.update))
        faces(
            config=config, data_dir=str(data_dir), file_format='array_record'
        ).download_and_prepare(
            download_dir=str(plan.work / 'downloads'),  # nothing is, but TFDS makes the folder
            download_config=tfds.download.DownloadConfig(manual_dir=data_dir),
        )
