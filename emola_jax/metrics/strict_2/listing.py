"""Action units in lines: entries of listings with their heads and values, and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from emola_jax.metrics.strict_2 import mentions, negation, tables, texts, verdicts
from emola_jax.metrics.strict_2.claims import Claim
from emola_jax.metrics.strict_2.entries import describes, verdict_of
from emola_jax.metrics.strict_2.mentions import Finder, Mention

_HEAD = re.compile(
    r"(?:^|[.;,|]\s*|\s-\s|(?<=\s))(?P<head>[^\W\d_][\w\s()'/-]{0,80}?)\s*(?:[:=]|\s[-–—])\s*[\[(]?\s*$"
)
_SPLIT = re.compile(r'\s[-–—]\s+(?=AUs?[\s_#]?\d)', re.I)
_MARK_BEFORE = re.compile(r'(?P<mark>[✓✗])\s*(?:[-–—:]\s*)?$')
_ITEM_START = 3
_LONGEST_HEAD = 5
_CONDITIONAL = re.compile(r'\s*(?:\([^()]{0,40}\)\s*)?would\b(?!\s+(?:be|appear|seem)\b)', re.I)
_JOINS = re.compile(r'\s*(?:,|and|or|和|及|与|/|&|\+|,\s?and|,\s?or)?\s*', re.I)
_WOULD_MEAN = re.compile(r'\bwhich\s+would\s+(?:be|indicate|mean|suggest|mark|require)\s+$', re.I)
# 'No' before a unit in Chinese, which has no blanks between words.
_HAN_NO = re.compile(r'[未没无不][\u3400-\u9fff]{0,6}$')
_STAYS = re.compile(
    r'\W*(?:stays?|remains?)\s+(?:level|flat|still|neutral|relaxed|unchanged|put|in\s+place|at\s+rest)\b',
    re.I,
)
_NOT_DONE = re.compile(
    r"\s*(?:\([^()]{0,60}\)\s*)?(?:(?:is|are|was|were)\s+not|isn't|aren't|wasn't)\s+(\w+)", re.I
)
_IF = re.compile(r'\bif\s+(?:\w+\s+)?$', re.I)
_WERE = re.compile(r'\s*(?:\([^()]{0,40}\)\s*)?(?:were|was|had)\b', re.I)
_VALUE_OF_ALL = re.compile(r'\s*[:=]|[\u3400-\u9fff]')
_IF_IT_WERE = re.compile(r'\bwould\s+(?:be|have\s+been)\s+$', re.I)

_VALUE_LINE = re.compile(
    r'(?:(?:present|presence|active|activated|status|detected|visible|observed|state|answer|value)\s*:\s*)?(?P<value>[^:]{1,40})',
    re.I,
)


def merged(lines: list[str], finder: Finder) -> list[str]:
    """'AU4', 'No' in lines below one another is 'AU4: No'; so is 'AU4', 'present: no'."""
    found: list[str] = []
    for line in lines:
        value = _VALUE_LINE.fullmatch(line) if line else None
        if found and value and verdicts.of_text(value['value']) is not None and not finder(line):
            before = finder(found[-1])
            if len(before) == 1 and _is_label(found[-1], before[0]):
                found[-1] = f'{found[-1].rstrip(" :")}: {value["value"]}'
                continue
        found.append(line)
    return found


def _is_label(line: str, mention: Mention) -> bool:
    """Whether a line is an action unit and its name, and nothing else."""
    rest = mentions.without_names(line[: mention.start] + line[mention.end :])
    return not re.search(r'\w', rest) or bool(re.fullmatch(r'\W*(?:au|unit|code)?\W*', rest, re.I))


def claims(lines: list[str], finder: Finder) -> Iterator[Claim]:
    """Claims of lines; a head such as 'Absent:' holds for the items below it."""
    section: bool | None = None
    blank = below_head = False
    for raw in lines:
        line = mentions.without_names(raw) if finder is mentions.of_codes else raw
        if not line:
            blank = True
            continue
        found = finder(line)
        if not found:
            if line.endswith(':') or _is_head(line):
                section = verdicts.of_head(line)
            elif blank or not re.match(r'\w+ ?:', line):
                section = None if blank else section
            blank, below_head = False, line.endswith(':') or _is_head(line)
            continue
        item = found[0].start <= _ITEM_START or _HEAD.search(line[: found[0].start]) is not None
        if blank and not (item and (below_head or not _is_prose(line, found[0]))):
            section = None
        yield from _of_line(line, finder, section if item else None)
        blank, below_head = False, line.endswith(':') and not item
        if below_head:
            section = verdicts.of_head(line[found[-1].end :])


def _is_prose(line: str, first: Mention) -> bool:
    """Whether a line that begins with an action unit is a sentence, and no entry of a listing."""
    after = line[first.end :]
    return len(after.split()) > _LONGEST_HEAD and re.match(r'\W*(?:[:–—]|-\s)', after) is None


def _is_head(line: str) -> bool:
    """Whether a line without a colon heads the lines below it: 'Inactive units'."""
    return (
        not line.endswith(('.', '!', '?', ','))
        and len(line.split()) <= _LONGEST_HEAD
        and verdicts.of_head(line) is not None
    )


def _of_line(line: str, finder: Finder, section: bool | None) -> Iterator[Claim]:
    """Claims of one line, which may hold several statements and entries."""
    parts = [part for s in texts.statements(line) for part in _dashed(s)]
    found = [finder(part) for part in parts]
    for i, (part, mentioned) in enumerate(zip(parts, found, strict=True)):
        if not mentioned:
            continue
        behind = []
        for after, others in zip(parts[i + 1 :], found[i + 1 :], strict=True):
            if others:
                break
            behind.append(after)
        yield from _of_statement(part, mentioned, section, '. '.join(behind))


def _dashed(statement: str) -> list[str]:
    """'AU4 low - AU7 tight' are two statements, 'Yes - AU4' is one."""
    parts = _SPLIT.split(statement)
    if len(parts) > 1 and verdicts.of_text(parts[0]) is not None:
        return [statement]
    return parts


@dataclass(frozen=True)
class _Place:
    """One mention in its statement, with the text up to its neighbours."""

    mention: Mention
    before: str
    after: str
    ends: bool


def _places(statement: str, found: list[Mention]) -> list[_Place]:
    starts = [0, *(mention.end for mention in found)]
    ends = [*(mention.start for mention in found[1:]), len(statement)]
    return [
        _Place(m, statement[start : m.start], statement[m.end : end], end == len(statement))
        for m, start, end in zip(found, starts, ends, strict=False)
    ]


def _of_statement(
    statement: str, found: list[Mention], section: bool | None, behind: str
) -> Iterator[Claim]:
    """Claims of one statement.

    Args:
      statement: plain.
      found: the action units that it mentions.
      section: what the head above says of the units of a listing.
      behind: statements of the same line that follow and mention none.
    """
    places = _places(statement, found)
    values = _values(places)
    spans = negation.denied_spans(statement)
    ignorant = negation.ignorant_spans(statement)
    side, denied_run = section, False
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        if head := _HEAD.search(place.before[-100:]):
            side = verdicts.of_head(head['head'])
        start = place.mention.start
        denied_run = _HAN_NO.search(place.before[-8:]) is not None or (
            denied_run and _JOINS.fullmatch(place.before) is not None
        )
        known = not negation.is_denied(start, ignorant)
        listed = i == 0 and start <= _ITEM_START and _announces(place)
        for au in place.mention.aus:
            if denied_run:
                yield Claim(au, False)
            elif value is not None:
                yield Claim(au, value, explicit=True)
            elif side is not None:
                denied = side and negation.is_denied(start, spans)
                yield Claim(au, side and not denied, explicit=not side)
            elif not _is_supposed(place):
                described = describes(au, _description(place, behind)) if listed else None
                denied = negation.is_denied(start, spans) if described is None else not described
                denied = denied or _is_still(au, place)
                yield Claim(au, not denied, known=known)


def _values(places: list[_Place]) -> list[bool | None]:
    """The value of every place: its own, or that of the list it stands in ('AU1, AU2: yes')."""
    leading = re.match(r'\W{0,3}[✓✗]', places[0].before) is not None
    runs = (
        places[0].mention.start <= _ITEM_START
        and verdict_of(places[-1].after, ends=True) is not None
    )
    found = [_value(place, leading=leading, runs=runs) for place in places]
    shared = False
    for i in reversed(range(len(places) - 1)):
        shared = shared or _VALUE_OF_ALL.match(places[i + 1].after) is not None
        shared = shared and found[i] is None and _JOINS.fullmatch(places[i].after) is not None
        if shared:
            found[i] = found[i + 1]
    return found


def _value(place: _Place, *, leading: bool, runs: bool) -> bool | None:
    """The value next to a mention: a mark before it, or what `verdict_of` finds behind it."""
    mark = _MARK_BEFORE.search(place.before)
    if leading:
        return None if mark is None else mark['mark'] == '✓'
    return verdict_of(place.after, ends=place.ends or runs)


def _is_still(au: int, place: _Place) -> bool:
    """Whether the unit is said not to do what it does: 'AU4 is not lowered'."""
    if _STAYS.match(place.after):
        return True
    denied = _NOT_DONE.match(place.after)
    acts = tables.ACTS_OF.get(au)
    return bool(denied and acts and acts.match(denied[1]))


def _announces(place: _Place) -> bool:
    """Whether a description of the unit follows: 'AU4: …', 'AU4 - …'."""
    return re.match(r'\s*\)?\s*(?:[:–—]|-\s)', place.after) is not None or not place.after.strip()


def _description(place: _Place, behind: str) -> str:
    own = place.after.lstrip(' :)-–—')
    return f'{own}. {behind}' if place.ends and own else behind if place.ends else own


def _is_supposed(place: _Place) -> bool:
    """Whether the unit is only supposed: 'AU12 would lift the corners', 'it would be AU12 if'."""
    return bool(
        _CONDITIONAL.match(place.after)
        or _WOULD_MEAN.search(place.before[-40:])
        or (_IF.search(place.before[-30:]) and _WERE.match(place.after))
        or (
            _IF_IT_WERE.search(place.before[-30:])
            and re.match(r'\W*(?:\w+\W+){0,3}if\b', place.after)
        )
    )
