"""The embedded default's stand-in for CLIP: trained once by the project, then cached and frozen.

No pretrained CLIP can be had from a package index, so the embedded default trains a small vision
tower of CLIP's architecture itself, in a minute or two, and aligns both projectors with the
language model's words. It has seen rendered faces only: figures made with it are never figures of
EmoLA's CLIP.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from flax import traverse_util
from jax.sharding import Mesh
from safetensors import safe_open
from safetensors.numpy import save_file

from emola_jax.config.sections import TowerConfig
from emola_jax.experiment.small_tower_alignment import WordTargets, align_projectors
from emola_jax.experiment.small_tower_training import (
    Faces,
    Params,
    Senses,
    train_vision,
)
from emola_jax.files import checksums
from emola_jax.files.locks import waiting_turn

RECIPE_VERSION = 3
"""Part of the cache key: raised whenever the code would make other weights."""


@dataclasses.dataclass(frozen=True)
class Tower:
    """What the recipe makes.

    Attributes:
      params: 'vision', 'visual_projector' and 'face_prior' of the model's parameter tree.
      sha256: of the tensors (a file's bytes differ from writing to writing).
      report: how well the tower's own heads read held-out faces, in percent.
    """

    params: Params
    sha256: str
    report: dict[str, float]


def load_or_train(
    config: TowerConfig,
    senses: Senses,
    *,
    load_faces: Callable[[], tuple[Faces, Faces]],
    data_key: str,
    words: WordTargets,
    mesh: Mesh,
    cache: Path,
) -> Tower:
    """Returns the cached tower of exactly this recipe, or trains and caches it.

    Args:
      config: the recipe.
      senses: sizes of the vision tower, the prior and the language model.
      load_faces: gives (training, held-out) faces; called only when no tower is cached.
      data_key: names the data set and its settings; part of the cache key.
      words: what the projectors are aligned with.
      mesh: batches are spread over its devices.
      cache: the folder of cached towers.

    A cached tower that is not what was written is trained again.
    """
    recipe = {
        'version': RECIPE_VERSION,
        'config': dataclasses.asdict(config),
        'senses': senses.recipe(),
        'data': data_key,
    }
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f'tower-{key}.safetensors'
    with waiting_turn(cache / f'.tower-{key}.lock', 'trains the vision tower'):
        if checksums.is_usable(path):
            return _read(path)
        faces, held_out = load_faces()
        vision, report = train_vision(config, senses, faces, held_out, mesh)
        params = {
            'vision': vision,
            **align_projectors(config, senses, vision, faces, words, mesh),
        }
        flat = {'/'.join(name): leaf for name, leaf in traverse_util.flatten_dict(params).items()}
        with checksums.sealed_write(path) as partial:
            save_file(
                flat, partial, metadata={'recipe': json.dumps(recipe), 'report': json.dumps(report)}
            )
    return _read(path)


def _read(path: Path) -> Tower:
    with safe_open(path, framework='numpy') as file:
        report = json.loads(file.metadata()['report'])
        flat = {tuple(name.split('/')): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Tower(
        params=traverse_util.unflatten_dict(flat),
        sha256=tensors_sha256(flat),
        report=report,
    )


def tensors_sha256(tensors: Mapping[tuple[str, ...], np.ndarray]) -> str:
    """sha256, in hex, of tensors by path: of names, types, shapes and values, in one order."""
    digest = hashlib.sha256()
    for path, tensor in sorted(tensors.items()):
        digest.update(f'{"/".join(path)} {tensor.dtype} {tensor.shape}\n'.encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()
