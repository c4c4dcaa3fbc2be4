"""A user's copy of an owner's data set, looked at as a whole: what would be built of it.

Everything is checked before anything is written, and all that is wrong is listed at once.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS, AU_NAMES, EMOTIONS
from emola_jax.files.json_values import JsonObject
from emola_jax.files.texts import printable
from emola_jax.files.whole import naming, read_jsonl, write_json
from input_pipeline.datasets import checks
from input_pipeline.datasets.items import Item, Options, Scan
from input_pipeline.validate import Problem

BLOCK = 512
"""Records that are checked, and written, between two moments at which a kill costs nothing."""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set as its owners ship it.

    Attributes:
      name: what a config calls it.
      title: what people call it.
      tasks: what it has labels for.
      splits: names of its splits, in order.
      train, evaluated: which of them are trained and evaluated on, as far as that is fixed.
      au_list: its key in `emola_jax.facs.AU_LISTS`, '' if any action unit may be labelled.
      instructions: which files to get, from whom, and where to put them.
      missing: (root, options) -> one line for each label file or folder that isn't there.
      scan: (root, options) -> what is there.
      prepare: (root) -> what went wrong; what has to happen before `scan`, such as to write the
        frames of videos.
      partial: (root, options) -> one line for each part that isn't there, if what is there can be
        built without it; else none.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    splits: tuple[str, ...]
    train: str
    evaluated: str
    au_list: str
    instructions: str
    missing: Callable[[Path, Options], list[str]]
    scan: Callable[[Path, Options], Scan]
    prepare: Callable[[Path], list[Problem]] = lambda root: []
    partial: Callable[[Path, Options], list[str]] = lambda root, options: []

    @property
    def known_aus(self) -> tuple[int, ...]:
        """Action units that a label may hold."""
        return AU_LISTS[self.au_list] if self.au_list else tuple(AU_NAMES)

    def check_tasks(self, options: Options) -> None:
        """Raises a UserError if there are no labels for a wanted task."""
        if lacking := [task for task in options.tasks if task not in self.tasks]:
            raise UserError(
                f'{self.name} has no labels for task {lacking[0]!r}; expected task '
                + ' or '.join(repr(task) for task in self.tasks)
            )

    def lacking(self, root: Path, options: Options) -> list[str]:
        """One line for each label file or folder that isn't there, then where to get them."""
        lines = self.missing(root, options)
        hint = ' '.join(self.instructions.split()).replace('ROOT', str(root))
        return [*lines, *self.partial(root, options), f'get {hint}'] if lines else []

    def check(self, root: Path, options: Options) -> None:
        """Makes sure that there is something to build.

        Raises:
          UserError: there are no labels for a wanted task, or files are missing and what is there
            cannot be built without them.
        """
        self.check_tasks(options)
        lines = self.lacking(root, options)
        if lines and not self.partial(root, options):
            raise UserError(f'files of {self.title} are missing:\n  ' + '\n  '.join(lines))

    def look(self, root: Path, options: Options) -> Scan:
        """Checks, prepares and scans an owner's tree.

        Raises:
          UserError: as `check`, or files of the data set cannot be written.
        """
        self.check(root, options)
        unprepared = self.prepare(root)
        found = self.scan(root, options)
        found.problems[:0] = unprepared
        found.notes[:0] = self.partial(root, options)
        found.keep_one_of_each()
        return found


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a builder writes.

    Attributes:
      items: checked, in order.
      summary: what `describe` will say of them.
      work: the folder that keeps finished shards.
      advance: called with the number of records that were written or found written.
    """

    items: Sequence[Item]
    summary: JsonObject
    work: Path
    advance: Callable[[int], object] = lambda records: None

    def by_split(self) -> dict[str, list[Item]]:
        """The items of each split."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.split, []).append(item)
        return found


def make_plan(
    data_set: DataSet, options: Options, found: Scan, work: Path, *, drop: bool, threads: int
) -> Plan:
    """Checks what was found; the folder `work` keeps what is done.

    Raises:
      UserError: something is wrong, and it isn't to be dropped; all of it is listed.
    """
    wrong = [*found.problems, *checks.whole(found.items)]
    wrong += _check_files(data_set, found.items, work, threads)
    stops = not drop or any(problem.kind in checks.ALWAYS_STOP for problem in wrong)
    full_list = work.parent / f'{data_set.name}-problems.json'
    if wrong:
        write_json(full_list, [_as_text(problem) for problem in wrong])
        if stops:
            raise UserError(checks.report(data_set.name, wrong, full_list))
    first = {problem.record: problem.kind for problem in reversed(wrong)}
    usable = [item for item in found.items if item.id not in first]
    if not usable:
        why = f'\n{checks.report(data_set.name, wrong, full_list)}' if wrong else ''
        raise UserError(f'{data_set.name}: there is no usable record{why}')
    dropped = found.dropped + collections.Counter(first.values())
    return Plan(usable, _summary(data_set, options, usable, dropped, found.notes), work)


def _as_text(problem: Problem) -> dict[str, str]:
    """A problem whose names of files can be written."""
    return {name: printable(text) for name, text in vars(problem).items()}


def fingerprint(data_set: DataSet, options: Options, found: Scan, *, drop: bool) -> str:
    """Names a build: a hash of options, label files, and the other files' sizes and times."""
    digest = hashlib.sha256(json.dumps([data_set.name, dataclasses.asdict(options), drop]).encode())
    for path in sorted(found.label_files):
        digest.update(os.fsencode(path.name) + b'\0' + path.read_bytes())
    for item in found.items:
        states = [_state(item.image), _state(item.landmarks)]
        digest.update(json.dumps([*vars(item).values(), *states]).encode())
    return digest.hexdigest()[:12]


def _state(path: str) -> list[int]:
    """Size and time of a file, or nothing where there is none."""
    try:
        state = os.stat(path)  # noqa: PTH116 (a Path for each of a million files takes its time)
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]


def _check_files(
    data_set: DataSet, items: Sequence[Item], work: Path, threads: int
) -> list[Problem]:
    """Reads every picture and landmark file; blocks without a problem are remembered in `work`."""
    work.mkdir(exist_ok=True)
    memory = work / 'checked.jsonl'
    good = {row['block'] for row in read_jsonl(memory)}
    wrong: list[Problem] = []

    def check(item: Item) -> list[Problem]:
        return checks.one(item, known_aus=data_set.known_aus)

    with (
        naming(memory),
        ThreadPoolExecutor(max(threads, 1)) as pool,
        memory.open('a', encoding='utf-8') as file,
        tqdm(total=len(items), desc=f'check {data_set.name}', unit='record') as bar,
    ):
        for block in range(0, len(items), BLOCK):
            of_block = items[block : block + BLOCK]
            if block not in good:
                bad = [problem for found in pool.map(check, of_block) for problem in found]
                wrong += bad
                if not bad:
                    file.write(json.dumps({'block': block}) + '\n')
                    file.flush()
            bar.update(len(of_block))
    return wrong


def _summary(
    data_set: DataSet,
    options: Options,
    items: Sequence[Item],
    dropped: collections.Counter[str],
    notes: Sequence[str],
) -> JsonObject:
    splits: JsonObject = {}
    for item in items:
        of_split = splits.setdefault(
            item.split,
            {
                'records': 0,
                'with_landmarks': 0,
                'subjects': set(),
                'tasks': collections.Counter(),
                'emotions': collections.Counter(),
                'aus': collections.Counter(),
            },
        )
        of_split['records'] += 1
        of_split['with_landmarks'] += bool(item.landmarks)
        of_split['tasks'][item.task] += 1
        if item.subject:
            of_split['subjects'].add(item.subject)
        if item.emotion >= 0:
            of_split['emotions'][EMOTIONS[item.emotion]] += 1
        of_split['aus'].update(str(au) for au in item.aus)
    for of_split in splits.values():
        of_split['subjects'] = sorted(of_split['subjects'])
    in_order = [*filter(splits.get, data_set.splits), *sorted(splits.keys() - data_set.splits)]
    return {
        'data_set': data_set.name,
        'options': dataclasses.asdict(options),
        'splits': {name: json.loads(json.dumps(splits[name])) for name in in_order},
        'dropped': dict(dropped),
        'notes': [printable(note) for note in notes],
    }
