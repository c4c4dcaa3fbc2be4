"""What people name on a command line: places that may not be there, and folders full of files."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Collection
from pathlib import Path

from emola_jax.files import media
from emola_jax.files.media import Kind
from emola_jax.files.names import readable


@dataclasses.dataclass
class Walked:
    """What a folder holds.

    Attributes:
      files: of the wanted kinds, sorted.
      faults: folders that cannot be read, a line each.
      notes: what was left out, a line each; hidden files are not spoken of.
    """

    files: list[Path] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def walk(folder: Path, wanted: Collection[Kind], *, without: Path | None = None) -> Walked:
    """Looks at a folder and all below; links to folders are not followed.

    Args:
      folder: where to look.
      wanted: kinds of files to list; others are counted.
      without: a folder that is left out, resolved.
    """
    made = Walked()
    left_out: collections.Counter[str] = collections.Counter()
    links = 0

    def refused(error: OSError) -> None:
        made.faults.append(f'{readable(error.filename)}: cannot be read ({error.strerror})')

    for root, folders, names in os.walk(folder, onerror=refused):
        here = Path(root)
        folders[:] = [
            name
            for name in folders
            if not media.is_hidden(name) and not _is_at(here / name, without)
        ]
        links += sum(map(os.path.islink, (here / name for name in folders)))
        for path in (here / name for name in names if not media.is_hidden(name)):
            if media.kind(path) in wanted:
                made.files.append(path)
            else:
                left_out[path.suffix.lower()] += 1
    made.files.sort()
    shown = readable(folder)
    if line := media.left_out_line(left_out):
        made.notes.append(f'{shown}: {readable(line)}')
    if links:
        made.notes.append(
            f'{shown}: links to folders are not followed ({links} found); name them too'
        )
    return made


def exists(text: str) -> bool:
    """Whether something of that name is there and can be looked at; any text is allowed.

    An empty one, as a shell makes of a variable that is not set, names nothing.
    """
    try:
        Path(text).stat()
    except (OSError, ValueError):  # too long, a circle of links; NUL
        return False
    return text != ''


def existing(text: str) -> Path | None:
    """The place that a text names as it is, or with its `~` expanded; None if there is none."""
    if exists(text):
        return Path(text)
    if not text:
        return None
    try:
        home = Path(text).expanduser()
    except RuntimeError:  # no such user
        return None
    return home if exists(str(home)) else None


def _is_at(path: Path, place: Path | None) -> bool:
    try:
        return place is not None and path.resolve() == place
    except (OSError, RuntimeError):  # too long, a circle of links
        return False
