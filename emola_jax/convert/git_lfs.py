"""Git LFS pointers: what a clone without Git LFS leaves in place of a large file."""

from __future__ import annotations

from pathlib import Path

from emola_jax.errors import UserError

_START = b'version https://git-lfs.github.com/spec/'


def refuse_pointer(path: Path) -> None:
    """Raises UserError if a file is a Git LFS pointer; a missing file is no fault here."""
    if not path.is_file():
        return
    with path.open('rb') as file:
        if file.read(len(_START)) == _START:
            raise UserError(
                f'{path}: a Git LFS pointer, the file itself was not downloaded; run git lfs pull '
                'in its repository'
            )
