"""A model's name as a local folder: a path, or an id of the Hugging Face hub.

An id is 'owner/name', or 'owner/name@revision' for a branch, a tag or a commit; 'hub:' before it
says that no folder is meant. The client of the hub reads HF_TOKEN, HF_HOME and HF_HUB_OFFLINE from
the environment.
"""

from __future__ import annotations

import re
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.whole import LFS_FAULT, LFS_POINTER

_PATTERNS = ('*.json', '*.safetensors', '*.bin', '*.model', '*.txt', '*.jinja')


SCHEME = 'hub:'
_ID = re.compile(r'(\w[\w.-]*/[\w.-]+)(?:@([\w./-]+))?')


def is_hub_id(name: str) -> bool:
    """Whether `name` could be a model of the hub instead of a path."""
    return _ID.fullmatch(name.removeprefix(SCHEME)) is not None


def asked(name: str) -> str:
    """A name that a user gave: with the scheme of the hub where it can only be an id of it."""
    is_id = not is_there(name) and is_hub_id(name) and not name.startswith(SCHEME)
    return f'{SCHEME}{name}' if is_id else name


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
    if is_there(str(name)) and not str(name).startswith(SCHEME):
        folder = Path(name).expanduser()
        if pointers := _pointers(folder):
            raise UserError(f'{", ".join(map(str, pointers))}: {LFS_FAULT}')
        return folder
    match = _ID.fullmatch(str(name).removeprefix(SCHEME))
    # 'runs/mimi' next to 'runs/mini' is a path with a slip.
    is_path = not str(name).startswith(SCHEME) and is_there(str(Path(name).parent))
    if match is None or is_path:
        raise UserError(
            f'{name}: no such folder; expected that of a run or a checkpoint, or an id of the '
            'Hugging Face hub (owner/name, owner/name@revision; hub:owner/name where a folder '
            'owner/ is here)'
        )
    import huggingface_hub  # takes a while to import

    owner_and_name, revision = match.groups()
    try:
        return Path(
            huggingface_hub.snapshot_download(
                owner_and_name, revision=revision, allow_patterns=list(_PATTERNS)
            )
        )
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
