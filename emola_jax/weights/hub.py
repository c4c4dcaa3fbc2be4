"""A model's name as a local folder: a path, or an id of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.whole import LFS_FAULT, LFS_POINTER

_PATTERNS = ('*.json', '*.safetensors', '*.bin', '*.model', '*.txt', '*.jinja')


def is_hub_id(name: str) -> bool:
    """Whether `name` could be a model of the hub ('owner/name') instead of a path."""
    return re.fullmatch(r'\w[\w.-]*/[\w.-]+', name) is not None


def is_there(name: str) -> bool:
    """Whether a name is a path on this machine."""
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, no such user
        return False


def local_folder(name: str | Path) -> Path:
    """The folder of a model; one of the hub is downloaded into its cache.

    Raises:
      UserError: there is no such folder, nor can the hub be reached; or files of it are pointers of
        Git LFS, which are named before anything is said of what else is missing.
    """
    if is_there(str(name)):
        folder = Path(name).expanduser()
        if pointers := _pointers(folder):
            raise UserError(f'{", ".join(map(str, pointers))}: {LFS_FAULT}')
        return folder
    if not is_hub_id(str(name)):
        raise UserError(f'{name}: no such folder')
    import huggingface_hub  # takes a while to import

    try:
        return Path(huggingface_hub.snapshot_download(str(name), allow_patterns=list(_PATTERNS)))
    except Exception as error:  # the hub's client raises many kinds, those of its transport too
        reason = re.split(r'\. |\n', str(error).strip())[0]
        raise UserError(
            f'{name}: no such folder here, and the Hugging Face hub gave none of that name '
            f'({type(error).__name__}: {reason})'
        ) from None


def _pointers(folder: Path) -> list[Path]:
    """The files of a model that stand for ones which Git LFS has not fetched."""
    found = []
    for path in sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)}):
        if path.is_file():
            with path.open('rb') as file:
                found += [path] if file.read(len(LFS_POINTER)) == LFS_POINTER else []
    return found
