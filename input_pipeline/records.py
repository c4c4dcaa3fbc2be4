"""The one record type that every data set is turned into."""

from __future__ import annotations

import dataclasses
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float32

from emola_jax.files.json_values import JsonObject

Task = Literal['emotion', 'au']

TASKS: tuple[Task, ...] = ('emotion', 'au')
"""The two tasks of FABA-Instruct (paper, section 3)."""

IMAGE_MARK = '<image>'
"""How LLaVA's data files mark the picture's place; a data set's reader takes it out."""

UNLABELLED = -1
"""The emotion label of a record that has none."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One face, one question, one answer.

    Attributes:
      id: unique within its data set.
      image: the encoded picture (PNG, JPEG, …) of one cropped face.
      landmarks: 106 points as x0, y0, x1, y1, … in [-1, 1] over the square-padded image; NaN where
        none were extracted.
      task: 'emotion' or 'au'.
      instruction: the question.
      response: the annotated answer.
      emotion: label 0..6 in the order of `emola_jax.facs.EMOTIONS`, or -1.
      aus: FACS numbers of the action units that are present.
      source: the data set that the face comes from.
    """

    id: str
    image: bytes
    landmarks: Float32[np.ndarray, '212']
    task: str
    instruction: str
    response: str
    emotion: int = UNLABELLED
    aus: tuple[int, ...] = ()
    source: str = ''

    @classmethod
    def from_features(cls, features: JsonObject) -> Record:
        """Builds a record from what a TFDS source yields: bytes for texts, arrays for lists."""
        return cls(
            id=_text(features['id']),
            image=bytes(features['image']),
            landmarks=np.asarray(features['landmarks'], np.float32),
            task=_text(features['task']),
            instruction=_text(features['instruction']),
            response=_text(features['response']),
            emotion=int(features['emotion']),
            aus=tuple(int(au) for au in features['aus']),
            source=_text(features['source']),
        )


class RecordSource(Protocol):
    """Random access to records: what a data set's builder returns for a split."""

    def __len__(self) -> int:
        """The number of records."""
        ...

    def __getitem__(self, index: int) -> Record:
        """The record at `index`, 0 <= index < len(self)."""
        ...


def _text(value: str | bytes) -> str:
    return value.decode('utf-8') if isinstance(value, bytes) else str(value)
