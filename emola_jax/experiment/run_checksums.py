"""The checksums of a run's own files; its checkpoints have theirs, see `checkpoint`."""

from __future__ import annotations

import contextlib
import fnmatch
import json
from collections.abc import Iterator
from pathlib import Path

from emola_jax.files import checksums
from emola_jax.files.checksums import SUMS_FILE, Damaged

PARTS_FOLDER = 'answers'
"""Where the hosts of an evaluation keep their answers until all are there."""

_OWN = (
    'config.json',
    'metrics.jsonl',
    'predictions.jsonl',
    'predictions.run.json',
    'scores.json',
    'report.html',
    'calibration.json',
    'dropped_*.json',
    'faces/*',
    'tensorboard/*',
    'control/*',
    'validation/*',
)
"""Files written by the commands that continue a run; other files in its folder are not ours."""

_REMADE = ('report.html',)
"""Files that are only written: whatever happened to them, the next command makes them again."""


CHECKED_BY = 'checksums'
"""Field of a checkpoint's metadata: the name of SHA256SUMS. Older versions saved without it."""


def has_lost_its_own(step_folder: Path) -> bool:
    """Whether a checkpoint was saved with checksums and no longer has them."""
    if (step_folder / SUMS_FILE).exists():
        return False
    try:
        metadata = json.loads((step_folder / 'metadata' / 'metadata').read_bytes())
    except (OSError, ValueError, RecursionError):
        return not (step_folder / 'metadata' / 'metadata').exists()
    return isinstance(metadata, dict) and CHECKED_BY in metadata


@contextlib.contextmanager
def renewed(workdir: Path) -> Iterator[None]:
    """Checks the files that a run has so far, and sums up what it has after the work.

    Meanwhile there is no SHA256SUMS: a process that is killed leaves none that its files do not
    match. Removed files are not reported: that is how to make a stage run again. For the one
    process that writes into the folder.

    Raises:
      Damaged: a file is not what an earlier command wrote.
    """
    sums = checksums.read(workdir)
    if sums is not None:
        present = {name: digest for name, digest in sums.items() if (workdir / name).exists()}
        for found in checksums.faults(workdir, present):
            if found.name not in _REMADE:
                raise Damaged(f'{workdir / found.name}: {found.what}; {checksums.way_out(workdir)}')
        (workdir / SUMS_FILE).unlink()
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            _write(workdir)
        raise
    _write(workdir)


def _write(workdir: Path) -> None:
    if not (workdir / 'config.json').is_file():
        return
    checksums.write(workdir, [name for name in checksums.names_below(workdir) if _is_own(name)])


def _is_own(name: str) -> bool:
    parts = name.split('/')
    # Locks, files not renamed yet, and answers that wait for the other hosts'.
    is_passing = any(part.startswith('.') or part == PARTS_FOLDER for part in parts)
    return not is_passing and any(fnmatch.fnmatchcase(name, pattern) for pattern in _OWN)
