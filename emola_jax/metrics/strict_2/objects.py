"""Action units in objects and lists of JSON: '{"AU4": 1}', '{"AUs": [4, 9]}', lists of records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from emola_jax.facs import AU_NAMES
from emola_jax.metrics.strict_2 import mentions, tables, verdicts
from emola_jax.metrics.strict_2.claims import Claim
from emola_jax.metrics.strict_2.entries import verdict_of

_CODE = re.compile(
    r'\W*(?:AUs?|(?:action[ _-]?)?units?)?[\s_#:.-]*0*(\d{1,3})[LRTB]?(?P<kind>_[rc])?\b', re.I
)
_OF_UNITS = re.compile(
    r'\b(?:aus?|(?:facial_?)?action_?units?|units?|codes?|facs|answer|labels?|detected'
    r'|present|active|activated'
    r'|observed|visible|predictions?|results?|output)\b',
    re.I,
)
_DECIDES = re.compile(
    r'present|active|activated|activation|detected|status|visible|observed|occurrence'
    r'|occurs|state|is_present|is_active'
    r'|presence|label|prediction|predicted|answer|result',
    re.I,
)
_MEASURES = re.compile(
    r'value|intensity|score|prob|probability|level|strength|confidence|likelihood', re.I
)
_NAMES = re.compile(
    r'au|unit|action_?unit|code|id|number|name|facs|au_?(?:code|id|number|name)|key', re.I
)
_ASIDE = re.compile(
    r'explanation|reason\w*|rationale|description|comment\w*|notes?|evidence|analysis'
    r'|emotions?|thoughts?',
    re.I,
)
Read = Callable[[str], list[Claim] | None]
"""Reads a text of its own; None where it says nothing about action units."""


def claims(value: Any, read: Read) -> list[Claim] | None:
    """What an object or a list claims, or None where it says nothing about action units.

    Args:
      value: of JSON.
      read: reads texts in it.
    """
    found = list(_walk(value, read, units=True, present=None))
    if found:
        return found
    return [] if _is_empty_list(value) else None


def _is_empty_list(value: Any) -> bool:
    """Whether `value` is a list of action units that has none."""
    if isinstance(value, list):
        return not value
    return isinstance(value, dict) and any(
        item in ([], None, 'none', 'None', 'none.') and _OF_UNITS.search(_spaced(key))
        for key, item in value.items()
    )


def au_of_key(key: str, *, bare: bool = False) -> int | None:
    """The action unit that a key names: 'AU4', 'au_04', 'AU01_c', 'lip_corner_puller'.

    Args:
      key: of an object, or a cell.
      bare: whether a number alone is one.
    """
    found = _CODE.match(key)
    if found and (bare or not key.strip()[0].isdigit()):
        au = int(found[1])
        return au if au in AU_NAMES else None
    name = ' '.join(re.sub(r'(?<=[a-z])(?=[A-Z])|[_\W]+', ' ', key).lower().split())
    return tables.KEY_NAMES.get(name)


def _walk(value: Any, read: Read, *, units: bool, present: bool | None) -> Iterator[Claim]:
    """Claims of a value.

    Args:
      value: of JSON.
      read: reads texts in it.
      units: whether bare numbers are action units.
      present: whether the section around says that its units are present or absent.
    """
    if isinstance(value, dict):
        record = _record(value, present)
        if record is not None:
            yield record
            return
        for key, item in _without_doubles(value).items():
            yield from _member(str(key), item, read, units=units, present=present)
    elif isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str) and au_of_key(value[0]):
            verdict = (
                None
                if isinstance(value[1], str) and au_of_key(value[1])
                else verdicts.of_value(value[1])
            )
            if verdict is not None:
                yield Claim(au_of_key(value[0]) or 0, verdict, explicit=True)
                return
        for item in value:
            yield from _walk(item, read, units=units, present=present)
    elif isinstance(value, str):
        bare = re.fullmatch(r'\s*0*(\d{1,2})\s*', value)
        if bare and units:
            yield from _walk(int(bare[1]), read, units=units, present=present)
            return
        for claim in read(value) or []:
            known = present if present is not None else claim.present
            yield Claim(claim.au, known, claim.explicit or present is not None, claim.known)
    elif isinstance(value, int) and not isinstance(value, bool) and units and value in AU_NAMES:
        yield Claim(value, present is not False, explicit=True)


def _member(
    key: str, item: Any, read: Read, *, units: bool, present: bool | None
) -> Iterator[Claim]:
    au = au_of_key(key) or (au_of_key(key, bare=True) if key.strip().isdigit() else None)
    if au is not None:
        verdict = _verdict(item)
        yield Claim(au, present is not False if verdict is None else verdict, explicit=True)
        return
    if _ASIDE.fullmatch(key) and not _holds_units(item):
        return
    head = verdicts.of_head(_spaced(key))
    of_units = bool(_OF_UNITS.search(_spaced(key))) or head is not None
    if isinstance(item, dict | list) or of_units:
        yield from _walk(item, read, units=of_units, present=present if head is None else head)
    elif isinstance(item, str):
        yield from _walk(item, read, units=False, present=present)


def _holds_units(item: Any) -> bool:
    """Whether an object has action units with values; one that explains them has texts."""
    return isinstance(item, dict) and any(
        _holds_units(value)
        or (au_of_key(str(key)) is not None and not isinstance(value, str | list))
        for key, value in item.items()
    )


def _verdict(item: Any) -> bool | None:
    """Whether the value of a unit's key says that it is present; None if it says nothing."""
    if isinstance(item, dict):
        for wanted in (_DECIDES, _MEASURES):
            for key, value in item.items():
                if wanted.fullmatch(str(key)) and (verdict := verdicts.of_value(value)) is not None:
                    return verdict
        return None
    if isinstance(item, list):
        return bool(item) and _verdict(item[0]) is not False
    if isinstance(item, str) and item.strip():
        verdict = verdict_of(f': {item}', ends=True)
        return verdict if verdict is not None else _said(item)
    return verdicts.of_value(item)


_DENIES = re.compile(
    r"\s*(?:no\b|not\b|absent|inactive|none\b)|.{0,60}\b(?:is|are)(?:n't| not)\b", re.I
)


def _said(item: str) -> bool | None:
    return False if _DENIES.match(item) else None


def _record(value: dict[Any, Any], present: bool | None) -> Claim | None:
    """The claim of a record such as {"au": 4, "present": false}."""
    for key, item in value.items():
        if (
            _NAMES.fullmatch(str(key))
            and isinstance(item, str | int)
            and not isinstance(item, bool)
        ):
            au = au_of_key(str(item), bare=True)
            if au is not None and len(mentions.of_codes(str(item))) < 2:
                others = {k: v for k, v in value.items() if k != key}
                verdict = _verdict(others)
                return Claim(
                    au, present is not False if verdict is None else verdict, explicit=True
                )
    return None


def _without_doubles(value: dict[Any, Any]) -> dict[Any, Any]:
    """The members without intensities ('AU01_r') where a verdict ('AU01_c') stands next to them."""
    keys = {str(key) for key in value}
    return {
        k: v for k, v in value.items() if not (str(k).endswith('_r') and f'{str(k)[:-2]}_c' in keys)
    }


def _spaced(key: Any) -> str:
    return re.sub(r'(?<=[a-z])(?=[A-Z])|[_-]+', ' ', str(key))
