"""FABA-Instruct as its authors release it: LLaVA-style JSON, pictures and landmark files.

ROOT/FABAInstruct/train/train_{emotion,au}_anno.json   conversations
ROOT/FABAInstruct/eval/eval_{emotion,au}_anno.json     label and annotated description
ROOT/FABAInstruct/{train,eval}/images/…                paths inside the JSON start at ROOT
ROOT/FABAInstruct/{train,eval}/landmarks/….npy         f32[212]
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS, EMOTIONS
from input_pipeline.records import IMAGE_MARK, TASKS, UNLABELLED, Record

SPLITS = ('train', 'eval')

KNOWN_AUS = AU_LISTS['faba']

QUESTIONS = {
    'emotion': 'What emotions are conveyed by this face?',
    'au': 'What AUs are conveyed by this face?',
}
"""What the released evaluation asks."""


@dataclasses.dataclass(frozen=True)
class FabaInstruct:
    """One split as a source of records, read from disk when asked for.

    Attributes:
      root: the folder that the paths inside the JSON start at.
      items: (task, JSON object) of every example, in file order.
      split: 'train' or 'eval'.
    """

    root: Path
    items: tuple[tuple[str, dict[str, Any]], ...]
    split: str

    def __len__(self) -> int:
        """Number of records."""
        return len(self.items)

    def __getitem__(self, index: int) -> Record:
        """Reads picture and landmarks; what is missing reads as empty (and is then reported)."""
        task, item = self.items[index]
        read = _conversation if 'conversations' in item else _labelled
        instruction, response, emotion, aus = read(task, item)
        return Record(
            id=f'{task}/{item.get("id", Path(item["image"]).with_suffix(""))}',
            image=_bytes(self.root / item['image']),
            landmarks=_landmarks(self.root / item['landmark']),
            task=task,
            instruction=instruction,
            response=response,
            emotion=emotion,
            aus=aus,
            source=item.get('source', 'FABAInstruct'),
        )


def annotation_files(root: Path, tasks: tuple[str, ...]) -> list[Path]:
    """The JSON files that a run on `tasks` needs."""
    return [
        root / 'FABAInstruct' / split / f'{split}_{task}_anno.json'
        for split in SPLITS
        for task in tasks
    ]


def tasks_of(task: str) -> tuple[str, ...]:
    """'mix' is both tasks."""
    return TASKS if task == 'mix' else (task,)


def missing(root: Path, task: str) -> list[str]:
    """One line for each annotation file that isn't there: which, from where, and to where."""
    return [
        f'{path}: the annotations of FABA-Instruct, which its authors release on the project page '
        'of "Facial Affective Behavior Analysis with Instruction Tuning" (ECCV 2024); unpack it so '
        f'that {root / "FABAInstruct"} holds train/ and eval/'
        for path in annotation_files(root, tasks_of(task))
        if not path.is_file()
    ]


def load(root: Path, task: str, split: str) -> FabaInstruct:
    """Reads the annotations of a split.

    Raises:
      UserError: a file is no JSON list, or an entry lacks a field.
    """
    items: list[tuple[str, dict[str, Any]]] = []
    for path in annotation_files(root, tasks_of(task)):
        if path.parent.name != split:
            continue
        name = path.stem.split('_')[1]
        items.extend((name, item) for item in _read(path, split))
    return FabaInstruct(root, tuple(items), split)


def _read(path: Path, split: str) -> list[dict[str, Any]]:
    needed = ('image', 'landmark') + (('conversations',) if split == 'train' else ('label', 'gpt4'))
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f'{path}: expected a JSON list of examples ({error})') from None
    for number, entry in enumerate(entries):
        lacking = [field for field in needed if field not in entry]
        if lacking:
            raise UserError(f'{path}: entry {number} lacks the field(s) {", ".join(lacking)}')
        speakers = [turn.get('from') for turn in entry.get('conversations', [])]
        if split == 'train' and speakers != ['human', 'gpt']:
            raise UserError(
                f"{path}: entry {number} has turns from {speakers}, expected one from 'human' and "
                "one from 'gpt'"
            )
    return entries


Parts = tuple[str, str, int, tuple[int, ...]]


def _conversation(task: str, item: dict[str, Any]) -> Parts:
    """Training entries carry no label: the answer is all that is trained on."""
    human, answer = item['conversations']
    instruction = human['value'].replace(IMAGE_MARK, '').strip()
    return instruction, answer['value'], UNLABELLED, ()


def _labelled(task: str, item: dict[str, Any]) -> Parts:
    label = str(item['label']).strip()
    if task == 'au':
        aus = tuple(int(au) for au in label.split(',') if au.strip())
        return QUESTIONS[task], item['gpt4'], UNLABELLED, aus
    number = int(label) if label.isdigit() else _emotion_number(label)
    return QUESTIONS[task], item['gpt4'], number, ()


def _emotion_number(name: str) -> int:
    lowered = name.lower()
    return EMOTIONS.index(lowered) if lowered in EMOTIONS else len(EMOTIONS)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b''


def _landmarks(path: Path) -> np.ndarray:
    if not path.is_file():
        return np.full(212, np.nan, np.float32)
    return np.load(path, allow_pickle=False).astype(np.float32).reshape(-1)
