"""Checks a config before anything is built: unknown fields, values out of range, typing errors.

`fields` lists what each field may hold; what fields say together is checked here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from emola_jax.config.fields import (
    ANYTHING,
    FIELDS,
    MOST_TOKENS,
    SECTIONS,
    Field,
    find,
    is_section,
    yes_or_no,
)
from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from input_pipeline.datasets import registry
from input_pipeline.datasets.folds import fold_splits


def check(values: JsonObject) -> None:
    """Refuses nested plain values of a config that no run could be made of.

    Raises:
      UserError: a field is unknown, is missing, holds what it can't hold, or doesn't go with
        another; each with its name.
    """
    if found := faults(values):
        start = f'{len(found)} faults in the config:\n  ' if len(found) > 1 else ''
        raise UserError(start + '\n  '.join(found))


def faults(values: JsonObject, passed_over: Sequence[str] = ()) -> list[str]:
    """What is wrong with nested plain values of a config: one line per field.

    Args:
      values: of a config file, or of the JSON that a run keeps of it.
      passed_over: fields that may hold anything.
    """
    given = dict(flatten(values))
    looked_at = {name: value for name, value in given.items() if name not in passed_over}
    found = [
        fault or f'{name}: no such field; {_meant(name, FIELDS)}'
        for name, value in looked_at.items()
        if (fault := _value_fault(name, value)) != ''
    ]
    found += [f'the config lacks {name}' for name in _missing(given)]
    return found or list(_together(given))


def _value_fault(name: str, value: object) -> str | None:
    """What is wrong with a field's value: '' for nothing, None where there is no such field."""
    field = find(name)
    if field is not None:
        right = field.accepts(value)
        return '' if right else f'{name} is {shown(value)}; expected {field.expected}'
    return f'{name} is {shown(value)}; expected a section' if is_section(name) else None


def _missing(values: JsonObject) -> list[str]:
    """The fields of every config that this one lacks, with what they should hold."""
    lacking = [name for name, field in FIELDS.items() if field.required and name not in values]
    # Of a section that is lacking, or that is no section, not every field is named.
    starts = {name.split('.')[0] for name in values}
    gone = {name.split('.')[0] for name in lacking if '.' in name} - starts
    named = [f'the section {section}' for section in SECTIONS if section in gone]
    return named + [
        f'{name} ({FIELDS[name].expected})'
        for name in lacking
        if name.split('.')[0] not in gone and not any(f'{one}.' in f'{name}.' for one in values)
    ]


def _together(values: JsonObject) -> Iterator[str]:
    """What is wrong between fields, each of which may hold what it does."""
    if ('train.steps' in values) == ('train.epochs' in values):
        yield 'the config gives both or neither of train.steps and train.epochs; expected one'
    batch, parts = values['train.batch_size'], values['train.accumulate']
    if batch % parts:
        yield f'train.batch_size {batch} must be a multiple of train.accumulate {parts}'
    for name, rows in (('train', batch), ('eval', values['eval.batch_size'])):
        if (tokens := rows * values['data.length']) > MOST_TOKENS:
            yield (
                f'{name}.batch_size {rows:,} x data.length {values["data.length"]:,} is '
                f'{tokens:,} tokens a batch; expected at most {MOST_TOKENS:,}'
            )
    axes = {axis: values.get(f'mesh.{axis}', 1) for axis in ('data', 'fsdp', 'tensor')}
    if list(axes.values()).count(-1) > 1:
        yield f'mesh {axes}: at most one of the axes may be -1'
    if values['base.kind'] == 'llava':
        yield from _lacking(values, 'base.llava', 'base.clip', of="base.kind 'llava'")
    if values.get('train.validate.every'):
        yield from _lacking(values, 'train.validate.split', of='train.validate.every')
    if registry.ALIASES.get(values['data.dataset'], values['data.dataset']) != registry.RENDERED:
        of = f'data.dataset {values["data.dataset"]!r}'
        yield from _lacking(values, 'data.root', 'data.task', of=of)
    fold = values.get('data.fold', 0)
    if fold and values['data.train_split'] != fold_splits(fold)[0]:
        yield (
            f'data.fold is {fold}, which trains on {fold_splits(fold)[0]}, but data.train_split is '
            f'{values["data.train_split"]!r}; give the config the argument fold={fold}'
        )


def _lacking(values: JsonObject, *names: str, of: str) -> Iterator[str]:
    for name in names:
        if name not in values:
            yield f'the config lacks {name}, which {of} needs'


def check_flags(arguments: Sequence[str], config: ml_collections.ConfigDict, title: str) -> None:
    """Refuses flags `--config.FIELD=VALUE` if the config lacks the field or it cannot be VALUE.

    Args:
      arguments: of a command line; others than these flags are passed over.
      config: as the file gives it.
      title: of the config, for messages.

    Raises:
      UserError: names the flag, and the field that was meant.
    """
    names = [name for name, _ in flatten(config)]
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == '--':
            return
        match = re.fullmatch(r'--?(no)?config\.([^=]+)(?:=(.*))?', argument, re.DOTALL)
        if match is None:
            continue
        negated, name, text = match.groups()
        if name not in names:
            raise UserError(f'--config.{name}: {_why_not(name, names, title)}')
        field = find(name)
        if field is None or field is ANYTHING or negated:
            continue
        if text is None and field.reads is not yes_or_no:
            text = following
        _check_text(f'--config.{name}', field, text)


def _check_text(flag: str, field: Field, text: str | None) -> None:
    if text is None:
        if field.reads is yes_or_no:
            return
        raise UserError(f'{flag}: has no value; expected {field.expected}')
    if text == 'None':
        return  # the check of the whole config knows where that may stand
    try:
        good = field.accepts(field.reads(text))
    except ValueError:
        good = False
    if not good:
        raise UserError(f'{flag}={text}: expected {field.expected}')


def _why_not(name: str, names: Sequence[str], title: str) -> str:
    if any(other.startswith(f'{name}.') for other in names):
        return f'is a section of {title}, not a field; name one of its fields'
    if find(name) is not None:
        return f'{title} has no such field, though other configs do'
    return f'no such field; {_meant(name, names)}'


def _meant(name: str, names: Sequence[str] | JsonObject) -> str:
    """The nearest name, one of the same ending elsewhere, or what the section has."""
    known = [other for other in names if '*' not in other]
    section, _, last = name.rpartition('.')
    near = [other for other in known if other.rpartition('.')[2] == last]
    near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if near:
        return f'did you mean {" or ".join(near)}?'
    own = {other.removeprefix(f'{section}.') for other in known if other.startswith(f'{section}.')}
    starts = {other.split('.')[0] for other in own or known}
    return f'expected one of {", ".join(sorted(starts))}'


def flatten(tree: object, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Every leaf of a config, or of the JSON that a run keeps of it, with its dotted name."""
    if isinstance(tree, ml_collections.FieldReference):
        tree = tree.get()
    if not isinstance(tree, Mapping | ml_collections.ConfigDict):
        yield prefix, tree
        return
    for name in tree:
        yield from flatten(tree[name], f'{prefix}.{name}' if prefix else str(name))


def is_free(name: str) -> bool:
    """Whether a run may go on with another value of a field."""
    field = find(name)
    return field is not None and field.free


def shown(value: object) -> str:
    """A value as messages show it, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f'{text[:77]}...'
