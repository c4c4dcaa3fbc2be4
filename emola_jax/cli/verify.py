"""The command that checks every file below a folder that has a checksum.

python -m emola_jax.verify FOLDER...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emola_jax.cli import command
from emola_jax.errors import UserError
from emola_jax.experiment import run_checksums
from emola_jax.files import checksums, places
from emola_jax.files.checksums import SUMS_FILE, Damaged, Fault

_DESCRIPTION = f"""\
Checks every file below FOLDER that has a checksum: those of a run and its checkpoints, of a built
data set, of a converted model, of the cache. Prints one line for each, and how many are damaged;
the exit status is 1 if any is. `sha256sum --check {SUMS_FILE}` does the same in one folder."""


def verify(folder: Path) -> bool:
    """Prints one line for each file that has a checksum, and a summary.

    Returns:
      Whether all of them are what was written.

    Raises:
      UserError: there is no such folder, or nothing in it has a checksum.
    """
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder')
    results = {
        **_of_folders(folder),
        **_of_single_files(folder),
        **_lost(folder),
    }
    if not results:
        raise UserError(f'{folder}: {_nothing_to_check(folder)}')
    for name in sorted(results):
        fault = results[name]
        print(f'DAMAGED  {name}: {fault.what}' if fault else f'intact   {name}')
    damaged = sum(fault is not None for fault in results.values())
    without = [name for name in checksums.names_below(folder) if name not in results]
    counted = (
        f'{damaged} of {len(results)} files are damaged'
        if damaged
        else (f'all {len(results)} files are intact')
    )
    unknown = sum(not _is_passing(name) for name in without)
    more = f'; {unknown} more {"has" if unknown == 1 else "have"} no checksum' if unknown else ''
    print(f'{folder}: {counted}{more}')
    return not damaged


def _nothing_to_check(folder: Path) -> str:
    if (folder / 'config.json').is_file() and (folder / 'checkpoints').is_dir():
        return 'is a run without checksums (an older version made it); nothing can be checked'
    what = 'holds files without checksums' if checksums.names_below(folder) else 'is empty'
    return f'{what}; expected a run, a built data set, a converted model or the cache'


def _of_folders(folder: Path) -> dict[str, Fault | None]:
    """File -> what is wrong with it, for those that a SHA256SUMS lists."""
    results: dict[str, Fault | None] = {}
    for path in sorted(folder.rglob(SUMS_FILE)):
        where = path.parent.relative_to(folder)
        try:
            sums = checksums.read(path.parent) or {}
        except Damaged:
            own = (where / SUMS_FILE).as_posix()
            results[own] = Fault(SUMS_FILE, 'is damaged, so that its files cannot be checked')
            continue
        wrong = {fault.name: fault for fault in checksums.faults(path.parent, sums)}
        results |= {(where / name).as_posix(): wrong.get(name) for name in sums}
    return results


def _of_single_files(folder: Path) -> dict[str, Fault | None]:
    results: dict[str, Fault | None] = {}
    for beside in sorted(folder.rglob(f'*{checksums.SUFFIX}')):
        path = beside.with_name(beside.name.removesuffix(checksums.SUFFIX))
        name = path.relative_to(folder).as_posix()
        results[name] = (
            None
            if checksums.is_whole(path)
            else Fault(path.name, 'is missing, or not what was written')
        )
    return results


def _lost(folder: Path) -> dict[str, Fault | None]:
    """Checkpoints that were saved with checksums and no longer have them."""
    results: dict[str, Fault | None] = {}
    for step in sorted(folder.rglob('checkpoints/*')):
        if step.name.isdecimal() and run_checksums.has_lost_its_own(step):
            name = (step / SUMS_FILE).relative_to(folder).as_posix()
            results[name] = Fault(SUMS_FILE, 'is missing')
    return results


def _is_passing(name: str) -> bool:
    """Whether a file is a lock, a checksum, or one that is still being written."""
    last = name.rsplit('/', 1)[-1]
    return last.startswith('.') or last.endswith(checksums.SUFFIX) or last == 'commit_success.txt'


def main(argv: Sequence[str]) -> int:
    """Verifies the folders; returns the exit status."""
    parser = argparse.ArgumentParser(prog='python -m emola_jax.verify', description=_DESCRIPTION)
    parser.add_argument('folders', nargs='+', metavar='FOLDER', type=places.path)
    results = [verify(folder) for folder in parser.parse_args(argv).folders]
    return 0 if all(results) else 1


if __name__ == '__main__':
    with command.exits_with_a_sentence('verify'):
        sys.exit(main(sys.argv[1:]))
