"""Which pictures a command works on, and where the landmark file of each goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.experts.pictures import Item
from emola_jax.files import folders
from emola_jax.files.media import Kind
from emola_jax.files.names import folded, readable
from emola_jax.files.texts import Fields
from emola_jax.files.whole import below
from input_pipeline import landmark_files
from input_pipeline.datasets import llava_json

_FIELDS = ('image', 'landmark')


@dataclasses.dataclass
class Listing:
    """What was found.

    Attributes:
      items: each picture with its landmark file, in a stable order; no two share a landmark file.
      refused: (picture or entry, why) of each that is left out.
      faults: arguments that name nothing, a line each.
      notes: what was left out of folders, a line each.
    """

    items: list[Item] = dataclasses.field(default_factory=list)
    refused: list[tuple[Path, str]] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def collect(
    paths: Sequence[str | Path], *, root: Path | None = None, out: Path | None = None
) -> Listing:
    """The pictures of folders, annotation files and single files.

    A folder's landmarks go to the folder next to it that is called 'landmarks' where it is called
    'images' (the released layout), and '<its name>_landmarks' else, under the same relative names
    (`landmark_files.file_name`). An annotation file names both files of each example.

    Args:
      paths: folders, .json files of the released layout, or pictures.
      root: what the paths inside annotation files start at, and must stay below; by default the
        nearest folder above the file from which a picture of it is found.
      out: the folder to put all landmark files in instead.

    Raises:
      UserError: there is no picture at all.
    """
    made = Listing()
    owners: dict[str, Path] = {}
    for path in paths:
        for item in _items(str(path), root, out, made):
            owner = owners.setdefault(folded(str(_resolved(item.landmarks))), item.image)
            if owner is item.image:
                made.items.append(item)
            elif _resolved(owner) != _resolved(item.image):
                why = (
                    f'its landmark file {item.landmarks} is that of {owner}; give it another --out'
                )
                made.refused.append((item.image, readable(why)))
    if not made.items:
        told = [*made.faults, *(f'{readable(path)}: {reason}' for path, reason in made.refused[:5])]
        raise UserError('\n'.join(told) or f'no pictures in {", ".join(map(readable, paths))}')
    return made


def _items(text: str, root: Path | None, out: Path | None, made: Listing) -> Iterator[Item]:
    path = folders.existing(text)
    if path is None:
        made.faults.append(f'{readable(text)}: no such file or folder')
    elif path.is_dir():
        yield from _of_folder(path, out, made)
    elif path.suffix == '.json':
        try:
            yield from _annotated(path, root, out, made)
        except UserError as error:
            made.faults.append(str(error))
    else:
        yield Item(path, (out or path.parent) / landmark_files.file_name(path))


def _of_folder(path: Path, out: Path | None, made: Listing) -> Iterator[Item]:
    walked = folders.walk(path, {Kind.PICTURE})
    made.faults += walked.faults
    made.notes += walked.notes
    if not walked.files:
        made.faults.append(f'{readable(path)}: no pictures in this folder')
    name = 'landmarks' if path.name == 'images' else f'{path.resolve().name}_landmarks'
    folder = out or path.resolve().with_name(name)
    for image in walked.files:
        below = image.parent.relative_to(path)
        yield Item(image, folder / below / landmark_files.file_name(image))


def _annotated(path: Path, root: Path | None, out: Path | None, made: Listing) -> Iterator[Item]:
    """The entries of an annotation file that lead to files below the root."""
    named: list[tuple[int, str, str]] = []
    for number, entry in enumerate(llava_json.read(path)):
        if wrong := _faults(entry):
            made.refused.append((path, f'entry {number}: {"; ".join(wrong)}'))
        else:
            named.append((number, entry['image'], entry['landmark']))
    if not named:
        raise UserError(f"{path}: no entry names a picture and its landmark file, 'landmark'")
    base = root or _root(path, [image for _, image, _ in named])
    for number, image, landmarks in named:
        reason = _escape(base, image) or _escape(out or base, landmarks)
        if not reason and not landmarks.endswith(landmark_files.SUFFIX):
            reason = f'{landmarks}: the name of a landmark file ends in {landmark_files.SUFFIX}'
        if reason:
            made.refused.append((path, readable(f'entry {number}: {reason}')))
        else:
            yield Item(base / image, (out or base) / landmarks)


def _faults(entry: object) -> list[str]:
    """What is wrong with an entry, the places of its files aside."""
    faults = list(llava_json.object_faults(entry, _FIELDS))
    if isinstance(entry, Fields):
        faults += llava_json.text_faults(entry, _FIELDS)
        faults += [f'{name} is empty' for name in _FIELDS if entry.get(name) == '']
    return faults


def _escape(root: Path, name: str) -> str:
    """Why a path of a file's data is not followed; '' if it stays below `root`, links resolved."""
    try:
        below(root, name)
    except UserError as error:
        return f'{error}; --root=DIR or --out=DIR names the folder to stay in'
    return ''


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # too long, a circle of links: refused where it is opened
        return path.absolute()


def _root(path: Path, images: Sequence[str]) -> Path:
    for image in images:
        for folder in path.resolve().parents:
            if folders.exists(str(folder / image)) and not _escape(folder, image):
                return folder
    raise UserError(
        f'{path}: none of its pictures, of which the first is {readable(images[0])}, is below any '
        'folder above it; give --root'
    )
