"""JSON as types, and the fields of its objects read with a check each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from emola_jax.errors import UserError

JsonObject: TypeAlias = dict[str, Any]
"""An object as `json` gives and takes it: its values are whatever the file holds.

The one name for it everywhere. What has known fields becomes a dataclass where it is read; a single
value of unknown type is an `object`.
"""

T = TypeVar('T')
Read = Callable[[object, str], T]
"""(value, where it stands) -> the value; a UserError where it is of another kind."""


def field(given: Mapping[str, object], name: str, read: Read[T], where: str) -> T:
    """A field that has to be there.

    Args:
      given: the object.
      name: of the field.
      read: checks the value.
      where: the object's place, for the message.

    Raises:
      UserError: it is missing or of another kind.
    """
    if name not in given:
        raise UserError(f'{where}: field {name!r} is missing')
    return read(given[name], f'{where}: {name}')


def optional(
    given: Mapping[str, object], name: str, read: Read[T], where: str, default: T | None = None
) -> T | None:
    """A field that older files lack; see `field`."""
    return field(given, name, read, where) if name in given else default


def an_object(value: object, where: str) -> JsonObject:
    """An object of any fields."""
    if not isinstance(value, dict):
        raise _wrong(value, where, 'a JSON object')
    return value


def text(value: object, where: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise _wrong(value, where, 'a text')
    return value


def flag(value: object, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong(value, where, 'true or false')
    return value


def count(value: object, where: str) -> int:
    """A whole number, not negative."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise _wrong(value, where, 'a count')


def number(value: object, where: str) -> float:
    """A number; it stays an int where it is one, so that it is written as it was."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise _wrong(value, where, 'a number')


def or_none(read: Read[T]) -> Read[T | None]:
    """Such a value or null."""
    return lambda value, where: None if value is None else read(value, where)


def list_of(read: Read[T]) -> Read[list[T]]:
    """A list of such values."""

    def read_list(value: object, where: str) -> list[T]:
        if not isinstance(value, list):
            raise _wrong(value, where, 'a list')
        return [read(item, f'{where}[{i}]') for i, item in enumerate(value)]

    return read_list


def table_of(read: Read[T]) -> Read[dict[str, T]]:
    """An object whose fields all are such values."""
    return lambda value, where: {
        name: read(item, f'{where}.{name}') for name, item in an_object(value, where).items()
    }


def _wrong(value: object, where: str, expected: str) -> UserError:
    return UserError(f'{where} is {value!r:.80}, expected {expected}')
