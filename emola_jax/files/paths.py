"""Files of a data set: what a folder holds, and what a label file names."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.texts import quoted

_URL = re.compile(r'[a-z][a-z0-9+.-]+://|data:', re.IGNORECASE)
_DRIVE = re.compile(r'[a-z]:[\\/]', re.IGNORECASE)
_NO_LABELS = ('readme', 'read_me', 'read me', 'license', 'licence', 'copyright', 'changelog')
"""How texts are called that come with label files and are none."""


def files(folder: Path, *suffixes: str) -> list[Path]:
    """The files of a folder that have one of these suffixes (in any case), sorted.

    What file managers, archivers and owners leave there is passed over: hidden files, the `._`
    copies of macOS, lock files of Excel, read-me files.
    """
    return [
        folder / entry.name
        for entry in _visible(folder)
        if entry.name.lower().endswith(suffixes)
        and not entry.name.lower().startswith(_NO_LABELS)
        and entry.is_file()
    ]


def folders(folder: Path) -> list[Path]:
    """The folders in a folder that aren't hidden, sorted."""
    there = (entry for entry in _visible(folder) if entry.is_dir())
    return [folder / entry.name for entry in there if entry.name != '__MACOSX']


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        seen = [entry for entry in entries if not entry.name.startswith(('.', '~$'))]
    return sorted(seen, key=lambda entry: entry.name)


class Finder:
    """Finds the files that a label file names, below one folder."""

    def __init__(self, root: Path) -> None:
        """Starts without having looked at any folder."""
        self._root = root
        self._names: dict[Path, dict[str, list[str]]] = {}

    def path(self, name: str) -> Path:
        r"""The file of a name: below the root, or where an absolute path or `~` says.

        Windows' `\`, another case and another normal form of Unicode are no obstacle where just one
        file is meant. A file that isn't there is returned as named.

        Raises:
          UserError: the name can be no file's; a part of a sentence, the name and what it is.
        """
        if '\0' in name or not _encodes(name):
            raise UserError(f'{quoted(name)}, expected the name of a file')
        if _URL.match(name):
            raise UserError(f'{quoted(name)}, a URL; download it, and name the file')
        if _DRIVE.match(name):
            raise UserError(
                f"{quoted(name)}, a path of Windows; name the file below the set's folder"
            )
        try:
            found = self._found(name)
            is_folder = found.is_dir()
        except OSError as error:
            raise UserError(f'{quoted(name)}, which cannot be a file ({error.strerror})') from None
        if is_folder or not found.name:
            raise UserError(f'{quoted(name)}, a folder; expected a file')
        return found

    def key(self, path: Path) -> str:
        """What a record is called after its file: the path below the root, without its suffix."""
        stem = path.with_suffix('')
        return str(stem.relative_to(self._root) if stem.is_relative_to(self._root) else stem)

    def _found(self, name: str) -> Path:
        given = self._root / name
        if given.exists():
            return given
        for other in (os.path.expanduser(name), name.replace('\\', '/')):  # noqa: PTH111 (never raises)
            if other != name and (self._root / other).exists():
                return self._root / other
        named = self._root / name.replace('\\', '/')
        return self._alike(named) or named

    def _alike(self, path: Path) -> Path | None:
        """The one existing path that differs from `path` in case or normal form alone."""
        if path == path.parent or path.exists():
            return path
        folder = self._alike(path.parent)
        if folder is None or not folder.is_dir():
            return None
        if folder not in self._names:
            names = self._names[folder] = {}
            for entry in folder.iterdir():
                names.setdefault(_alike_key(entry.name), []).append(entry.name)
        same = self._names[folder].get(_alike_key(path.name), [])
        return folder / same[0] if len(same) == 1 else None


def _alike_key(name: str) -> str:
    return unicodedata.normalize('NFC', unicodedata.normalize('NFC', name).casefold())


def _encodes(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True
