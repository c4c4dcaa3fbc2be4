"""Prints the FaceMesh vertex of each of the 106 landmarks that is nearest on rendered faces.

    python benchmarks/landmark_subset.py

What `emola_jax/experts/mesh_subset.py` was made from: on the training split alone, the vertex of
the least mean error; a point and its mirror image take mirrored vertices (found by running the
mesh on mirrored pictures), a point on the middle line takes one that mirrors itself.
"""

from __future__ import annotations

import argparse

import jax
import numpy as np
from landmarks import rendered_faces

from emola_jax.experts import mesh, mesh_weights
from emola_jax.experts.detection import Detections
from emola_jax.experts.region import region_of
from input_pipeline.landmarks import FLIP_INDEX, GROUPS, POINTS

_NEAR = 10
_OUTER_EYES = (34, 88)
_BATCH = 32


def main() -> None:
    """Runs the mesh, fits, prints one line a group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--faces', type=int, default=600, help='training faces')
    count = parser.parse_args().faces // _BATCH * _BATCH
    photos, exact = rendered_faces('train', count)
    pictures = np.stack(photos)
    found = mesh_points(pictures)
    mirrored = mesh_points(pictures[:, :, ::-1]) * [-1, 1] + [1, 0]
    mirror = mirror_vertices(found, mirrored)
    truth = (exact.reshape(-1, POINTS, 2) + 1) / 2
    errors = point_errors(found, truth)
    table = choose(errors, mirror)
    for name, group in GROUPS.items():
        print(f'{name}: {", ".join(str(vertex) for vertex in table[group])}')
    print(f'mean error on these faces: {errors[np.arange(POINTS), table].mean():.4f}')


def mesh_points(pictures: np.ndarray) -> np.ndarray:
    """f32[n, 468, 2], shares of the picture's side."""
    params = jax.device_put(mesh_weights.load_params())
    size = pictures.shape[1]

    @jax.jit
    def run(images: jax.Array) -> jax.Array:
        small = jax.image.resize(images.astype('float32'), (len(images), 128, 128, 3), 'linear')
        found: Detections = mesh.detect(params, small.round().astype('uint8'), 1)
        region = region_of(found.boxes[:, 0] * size, found.keypoints[:, 0] * size)
        return mesh.locate(params, images, region)[0] / size

    starts = range(0, len(pictures), _BATCH)
    return np.concatenate([np.asarray(run(pictures[at : at + _BATCH])) for at in starts])


def mirror_vertices(found: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """i[468]: the vertex that is where this one is when picture and result are mirrored."""
    middle, others = found.mean(axis=0), mirrored.mean(axis=0)
    mirror = np.empty(len(middle), int)
    for vertex, place in enumerate(middle):
        near = np.argsort(np.linalg.norm(others - place, axis=1))[:_NEAR]
        away = np.linalg.norm(found[:, vertex, None] - mirrored[:, near], axis=2).mean(axis=0)
        mirror[vertex] = near[away.argmin()]
    return mirror


def point_errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """f[106, 468]: mean distance of each point from each vertex, in outer-eye distances."""
    unit = np.linalg.norm(truth[:, _OUTER_EYES[0]] - truth[:, _OUTER_EYES[1]], axis=1)
    return np.stack(
        [
            (np.linalg.norm(found - truth[:, None, point], axis=2) / unit[:, None]).mean(axis=0)
            for point in range(POINTS)
        ]
    )


def choose(errors: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """i[106]: the vertex of each point, mirrored in pairs."""
    both = errors + errors[FLIP_INDEX][:, mirror]
    middle = np.flatnonzero(mirror == np.arange(len(mirror)))
    table = np.empty(POINTS, int)
    for point, other in enumerate(FLIP_INDEX):
        if other == point:
            table[point] = middle[both[point, middle].argmin()]
        elif other > point:
            table[point] = both[point].argmin()
            table[other] = mirror[table[point]]
    return table


if __name__ == '__main__':
    main()
