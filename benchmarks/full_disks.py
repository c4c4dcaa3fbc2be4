"""Runs every long command on disks that are too small, and then on one with room.

    python -m benchmarks.full_disks                      (as root: it mounts tmpfs)
    python -m benchmarks.full_disks --sizes=3 --jobs=main,convert

What a command writes lies on a tmpfs of one of eight sizes, from 64 KiB to just under what the
command needs. It must end with status 1 and one sentence that names a file or folder of that disk,
or with 0 where it fits; and, once the disk has room, the same command must go on to the bytes of a
run that never lacked any. Writes benchmarks/results/full_disks.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import stages
from benchmarks.kills import undisturbed
from benchmarks.stages import Place
from emola_jax.files.whole import write_json

RESULTS = Path(__file__).parent / 'results' / 'full_disks.json'
JOBS = ('main', 'tower', 'predict', 'calibrate', 'convert')
_SMALLEST, _ROOM = 2**16, 2**28


def main() -> None:
    """Runs it all; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sizes', type=int, default=8, help='disks for each command')
    parser.add_argument('--jobs', default=','.join(JOBS), help=f'some of {",".join(JOBS)}')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        calm, expected = undisturbed(root, set(arguments.jobs.split(',')), [1])
        rows = []
        for job in arguments.jobs.split(','):
            need = _need(job, calm, root)
            for size in np.geomspace(_SMALLEST, 0.95 * need, arguments.sizes).astype(int).tolist():
                rows.append(on_a_disk(job, size, root, calm, expected[job, 1]))
                print(json.dumps(rows[-1]), flush=True)
                good = sum(row['good'] for row in rows)
                write_json(RESULTS, {**stages.circumstances(), 'good': good, 'disks': rows})
    print(f'{good} of {len(rows)} said what is full and went on')
    sys.exit(good != len(rows))


def _need(job: str, calm: Place, root: Path) -> int:
    """Bytes that the command leaves on its disk."""
    folders = {
        'main': [calm.run, calm.cache / 'datasets'],
        'tower': [calm.cache / 'towers'],
        'calibrate': [calm.run],
    }.get(job, [root / 'calm' / job])
    return sum(path.stat().st_size for folder in folders for path in folder.rglob('*'))


@contextlib.contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """A tmpfs of `size` bytes; `grow` gives it room."""
    folder.mkdir(parents=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder], check=True)
    try:
        yield
    finally:
        subprocess.run(['umount', '--lazy', folder], check=True)


def grow(folder: Path) -> None:
    """Gives a disk room."""
    subprocess.run(['mount', '-o', f'remount,size={_ROOM}', folder], check=True)


def on_a_disk(
    job: str, size: int, root: Path, calm: Place, expected: dict[str, str]
) -> dict[str, Any]:
    """One command on one disk, and again when that has room."""
    folder = root / f'{job}-{size}'
    with disk(folder / 'disk', size):
        cache = stages.new_cache(folder / 'cache', (calm.cache / 'compiled').resolve())
        own = folder / 'disk' / ('cache' if job in ('main', 'tower') else 'none')
        for name in ('datasets', 'towers') if own.name == 'cache' else ():
            (own / name).mkdir(parents=True)
            (cache / name).symlink_to(own / name)
        run = folder / 'disk' / 'run' if job in ('main', 'calibrate') else calm.run
        if job == 'calibrate':
            _copy_or_fill(calm.run, run, folder / 'disk', size)
        place = Place(run, folder / 'disk' / 'out', cache)
        first, said = _run(job, place, folder / 'first.txt')
        grow(folder / 'disk')
        again, _ = _run(job, place, folder / 'again.txt')
        same = not again and stages.result(job, place) == expected
    names_it = str(folder / 'disk') in said or str(cache) in said
    is_sentence = first == 1 and names_it and 'no space left' in said.lower()
    return {
        'job': job,
        'bytes': size,
        'status': first,
        'said': said.replace(str(folder), '…')[:300],
        'status_with_room': again,
        'good': bool((first == 0 or is_sentence) and same),
    }


def _copy_or_fill(run: Path, copy: Path, whole: Path, size: int) -> None:
    """Calibrating needs a run on the disk: that, and only `size` bytes of room."""
    needed = sum(path.stat().st_size + 8192 for path in run.rglob('*'))
    subprocess.run(['mount', '-o', f'remount,size={needed + size}', whole], check=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns('calibration.json'))
    left = shutil.disk_usage(whole).free
    (whole / 'filler').write_bytes(bytes(max(left - size // 64, 0)))


def _run(job: str, place: Place, output: Path) -> tuple[int, str]:
    """Status, and the command's last line; a traceback counts as one."""
    processes = stages.start(job, place, output)
    with stages.ended(processes):
        [status] = stages.wait(processes)
    text = output.read_text(errors='replace')
    lines = text.replace('\r', '\n').strip().splitlines() or ['']
    return status, 'Traceback' if 'Traceback' in text else lines[-1]


if __name__ == '__main__':
    main()
