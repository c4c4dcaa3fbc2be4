"""LLaVA-style annotation files: a JSON list of examples, checked once for everyone who reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from emola_jax.errors import UserError
from emola_jax.files.texts import Fields, is_text, parse_fields, quoted, read_text

SPEAKERS = ('human', 'gpt')

_FACS_LIST = re.compile(r'\s*(?:\d{1,3}\s*(?:,\s*\d{1,3}\s*)*,?\s*)?', re.ASCII)


def read(path: Path) -> list[Any]:
    """The entries of a file, whatever they are; objects are `Fields`.

    Raises:
      UserError: the file cannot be read or holds no JSON list.
    """
    text = read_text(path)
    try:
        entries = parse_fields(text, str(path))
    except UserError:
        if _is_object(text.lstrip().partition('\n')[0]):
            raise UserError(
                f'{path}: holds one JSON object a line; expected a JSON list of examples: [ before '
                'the first, ] after the last, commas between them'
            ) from None
        raise
    if not isinstance(entries, list):
        kind = 'an object' if isinstance(entries, dict) else quoted(entries)
        raise UserError(f'{path}: expected a JSON list of examples, found {kind}')
    return entries


def is_list(text: str) -> bool:
    """Whether a text is one JSON list, however many lines it has."""
    return text.lstrip().startswith('[') and isinstance(_parsed(text), list)


def _is_object(text: str) -> bool:
    return isinstance(_parsed(text), dict)


def _parsed(text: str) -> object:
    """The value of a JSON text, None if it is none."""
    try:
        return parse_fields(text, '')
    except UserError:
        return None


def object_faults(entry: object, needed: Collection[str]) -> Iterator[str]:
    """What is wrong with an entry as a whole."""
    if not isinstance(entry, Fields):
        yield f'is {quoted(entry)}, expected an object'
        return
    if entry.repeated:
        yield f'has the field {quoted(entry.repeated[0])} twice'
    if lacking := [field for field in needed if field not in entry]:
        yield f'lacks the field(s) {", ".join(lacking)}'


def text_faults(entry: Fields, fields: Collection[str]) -> Iterator[str]:
    """Those of these fields that are there and hold something else than a text."""
    for field in fields:
        if field in entry and not is_text(entry[field]):
            yield f'{field} is {quoted(entry[field])}, expected a text'


def id_faults(entry: Fields) -> Iterator[str]:
    """An id may be left out; else it is a text or a whole number."""
    given = entry.get('id', '')
    if not is_text(given) and (isinstance(given, bool) or not isinstance(given, int)):
        yield f'id is {quoted(given)}, expected a text or a whole number'


def path_faults(entry: Fields, fields: Collection[str], find: Callable[[str], Path]) -> list[str]:
    """Those of these fields whose text can be no file's name, as `paths.Finder.path` says it."""
    found = []
    for field in fields:
        try:
            if is_text(entry.get(field)):
                find(entry[field])
        except UserError as error:
            found.append(f'{field} is {error}')
    return found


def turn_faults(turns: object, *, pairs: int | None = None) -> Iterator[str]:
    """What is wrong with conversations: question and answer in turn, `pairs` times if given."""
    if not isinstance(turns, list) or not turns:
        yield f'conversations is {quoted(turns)}, expected a list of turns'
        return
    for number, turn in enumerate(turns):
        where = f'turn {number}'
        if not isinstance(turn, Fields):
            yield f'{where} is {quoted(turn)}, expected an object'
            return
        wrong = [*object_faults(turn, ('from', 'value')), *text_faults(turn, ('from', 'value'))]
        yield from (f'{where}: {complaint}' for complaint in wrong)
        if wrong:
            return
    speakers = [turn['from'] for turn in turns]
    count = pairs or max(1, len(speakers) // 2)
    if speakers != list(SPEAKERS) * count:
        expected = (
            "one from 'human' and one from 'gpt'" if pairs == 1 else "'human' and 'gpt' in turn"
        )
        yield f'has turns from {quoted(speakers)}, expected {expected}'


def is_facs_list(label: object) -> bool:
    """Whether a label is '4, 9', '' for none, or one number."""
    if isinstance(label, int) and not isinstance(label, bool):
        return 0 <= label < 1000
    return isinstance(label, str) and _FACS_LIST.fullmatch(label) is not None


def unread_fields(entries: Sequence[object], known: Collection[str]) -> str:
    """Fields that nobody reads, with how many entries have each: 'labels (of 3)'; '' if none."""
    counts: dict[str, int] = {}
    for entry in entries:
        for field in entry if isinstance(entry, dict) else ():
            if field not in known:
                counts[field] = counts.get(field, 0) + 1
    return ', '.join(f'{quoted(field)} (of {count})' for field, count in sorted(counts.items()))
