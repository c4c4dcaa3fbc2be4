"""Small trees in the shapes that owners ship, and what is built of them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline.datasets import builder, manual
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
