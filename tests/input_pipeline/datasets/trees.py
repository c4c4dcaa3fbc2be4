"""Small trees in the shapes that owners ship, and what is built of them."""

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline.datasets import build as manual
from input_pipeline.datasets import built as builder
from input_pipeline.datasets.items import Options

POINTS = np.linspace(-0.6, 0.6, 212, dtype=np.float32)


def picture(path: Path, shade: int = 0, size=(8, 8)) -> Path:
    """Writes a picture of one shade, as JPEG or PNG by its name."""
    file = io.BytesIO()
    kind = 'PNG' if path.suffix == '.png' else 'JPEG'
    Image.new('RGB', size, (shade, 0, 0)).save(file, kind)
    return put(path, file.getvalue())


def landmarks(path: Path, points=POINTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, points)
    return path


def put(path: Path, content) -> Path:
    """Writes text or bytes, with the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def build(faces, root: Path, task: str, drop=False, **options) -> Path:
    return manual.build(
        faces,
        Options(task=task, **options),
        root=root,
        data_dir=root.parent / 'built',
        drop=drop,
        threads=2,
    )


def read(built: Path) -> dict:
    """Records by split, read back through TFDS."""
    sources = {split: builder.load(built, split) for split in manual.describe(built)['splits']}
    return {split: [source[i] for i in range(len(source))] for split, source in sources.items()}


def labels(records) -> list:
    """What a record says, without its files."""
    return [(record.id, record.task, record.emotion, record.aus) for record in records]


LEFT_BY_PROGRAMS = (
    '.DS_Store',
    'Thumbs.db',
    'desktop.ini',
    'README.txt',
    'readme.txt',
    '.labels.csv',
)


def litter(root: Path) -> None:
    """Puts into every folder what file managers, archivers and owners leave there."""
    folders = [root, *(path for path in root.rglob('*') if path.is_dir())]
    for folder in folders:
        own = [path.name for path in folder.iterdir() if path.is_file()]
        for name in LEFT_BY_PROGRAMS:
            put(folder / name, b'\x00\x05\x16\x07 left here')
        for name in own:
            put(folder / f'._{name}', b'\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X')
            put(folder / '__MACOSX' / f'._{name}', b'\x00\x05\x16\x07')
            put(folder / '.hidden' / name, b'of an editor')
        put(folder / f'~${own[0] if own else "x.csv"}', b'open in Excel')


def check_litter(faces, root: Path, task: str) -> None:
    """Builds a tree as it is and littered; the records have to be the same."""
    littered = root.parent / 'littered' / root.name
    shutil.copytree(root, littered)
    litter(littered)
    made, again = (read(build(faces, folder, task)) for folder in (root, littered))
    assert made.keys() == again.keys() and any(made.values())
    for split, records in made.items():
        assert labels(records) == labels(again[split])
        assert [r.image for r in records] == [r.image for r in again[split]]
        for one, other in zip(records, again[split], strict=True):
            np.testing.assert_array_equal(one.landmarks, other.landmarks)
