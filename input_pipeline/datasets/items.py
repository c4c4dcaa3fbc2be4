"""What a reader of an owner's layout finds: items, which become records once their files are read.

A reader looks at label files only. An `Item` names the files that belong to a record; a `Scan` is
everything that a tree holds, with what is wrong in it and what was left out on purpose.
"""

from __future__ import annotations

import collections
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emola_jax.errors import UserError
from input_pipeline import images, landmark_files
from input_pipeline.arrays import read_array
from input_pipeline.landmarks import POINTS
from input_pipeline.records import TASKS, UNLABELLED, Record
from input_pipeline.validate import Problem

Box = tuple[int, int, int, int]
"""A face's place in a picture: left, top, width, height, in pixels."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user chooses about a data set; the owners' layouts leave nothing else open.

    Attributes:
      task: 'emotion', 'au' or 'mix' (both).
      frame_step: of video sets, take one labelled frame in so many; 1 takes all, as is usual.
      labels: of the set `folder`, the label file, if it isn't the only one there.
    """

    task: str = 'mix'
    frame_step: int = 1
    labels: str = ''

    def __post_init__(self) -> None:
        if self.task not in (*TASKS, 'mix'):
            raise UserError(f'task is {self.task!r}; expected one of {(*TASKS, "mix")}')
        if self.frame_step < 1:
            raise UserError(f'frame_step is {self.frame_step}; expected at least 1')

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that records are wanted for."""
        return TASKS if self.task == 'mix' else (self.task,)


@dataclasses.dataclass(frozen=True)
class Item:
    """A record whose picture and landmarks are still in their files.

    Attributes:
      id: unique within the data set.
      split: the split that it belongs to.
      image: the picture's file.
      landmarks: the file of its landmarks, '' where there are none.
      task, instruction, response, emotion, aus, source: as in `Record`.
      subject: whose face it is, '' where the owners don't say.
      box: the face's place in the picture; None where the picture is the face.
    """

    id: str
    split: str
    image: str
    task: str
    instruction: str
    response: str
    landmarks: str = ''
    emotion: int = UNLABELLED
    aus: tuple[int, ...] = ()
    source: str = ''
    subject: str = ''
    box: Box | None = None


@dataclasses.dataclass
class Scan:
    """What a reader found; it fills one and hands it on.

    Attributes:
      items: in the order in which they will be stored.
      problems: what is wrong in the label files, beside `items` or instead of them.
      dropped: how many records were left out on purpose, by reason.
      label_files: the files that were read; the data set's name follows their content.
      notes: sentences on what is there and not read, for the summary.
    """

    items: list[Item] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)
    dropped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    label_files: list[Path] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def problem(self, where: str, kind: str, message: str) -> None:
        """Notes a problem of the record, or the label file, `where`."""
        self.problems.append(Problem(where, kind, message))

    def keep_one_of_each(self) -> None:
        """Leaves out, and counts, items that repeat another one to the last field."""
        kept = list(dict.fromkeys(self.items))
        if repeated := len(self.items) - len(kept):
            self.dropped['the same entry again'] += repeated
            self.items = kept


@dataclasses.dataclass(frozen=True)
class ItemSource:
    """Items as a source of records, read from disk when asked for."""

    items: Sequence[Item]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.items)

    def __getitem__(self, index: int) -> Record:
        """Reads picture and landmarks; what is missing reads as empty (and is then reported)."""
        return read(self.items[index])


def read(item: Item) -> Record:
    """The record of an item.

    A picture that isn't there reads as no bytes, landmarks that aren't there as NaN.

    Raises:
      UserError: the landmark file holds no array of numbers.
    """
    return Record(
        id=item.id,
        image=_image_bytes(item),
        landmarks=read_landmarks(item.landmarks),
        task=item.task,
        instruction=item.instruction,
        response=item.response,
        emotion=item.emotion,
        aus=item.aus,
        source=item.source,
    )


def read_landmarks(path: str) -> np.ndarray:
    """Landmarks from a .npy file as a flat float32 array, or 212 NaN where there is no file.

    Raises:
      UserError: the file holds no array of numbers.
    """
    if not path or not Path(path).is_file():
        return np.full(2 * POINTS, np.nan, np.float32)
    try:
        return read_array(Path(path)).astype(np.float32).reshape(-1)
    except UserError as error:
        raise UserError(f'{error}; expected an array of {2 * POINTS} numbers') from None
    except (ValueError, TypeError) as error:
        raise UserError(f'{path}: expected an array of {2 * POINTS} numbers ({error})') from None


def landmark_file(folder: Path, pictures: Path, picture: Path) -> str:
    """The landmarks that belong to a picture of an owner who ships none.

    `folder` mirrors the folder of the pictures; a .npy in the picture's own folder does as well.

    Returns:
      The file's path, or '' where neither is there (see `landmark_files.find`).
    """
    places = [picture.parent]
    if picture.is_relative_to(pictures):
        places.insert(0, folder / picture.parent.relative_to(pictures))
    return landmark_files.find(picture, places)


def _image_bytes(item: Item) -> bytes:
    path = Path(item.image)
    if not path.is_file():
        return b''
    encoded = path.read_bytes()
    if item.box is None:
        return encoded
    try:
        picture = images.read(encoded, name=item.id)
    except images.Unreadable:
        return encoded  # reported as an unreadable picture
    file = io.BytesIO()
    images.crop(picture, item.box).save(file, 'JPEG', quality=95)
    return file.getvalue()
