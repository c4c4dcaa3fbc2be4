"""Action units in lines: entries of listings with their heads and values, and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from emola_jax.metrics.strict_2 import mentions, negation, revisions, tables, texts, verdicts
from emola_jax.metrics.strict_2.claims import Claim
from emola_jax.metrics.strict_2.entries import denies_it, describes, verdict_of
from emola_jax.metrics.strict_2.mentions import Finder, Mention

_HEAD = re.compile(
    r"(?:^|[.;,|]\s*|\s-\s|(?<=\s))(?P<head>[^\W\d_][\w\s()'/-]{0,80}?)\s*(?:[:=]|\s[-–—])\s*[\[(]?\s*$"
)
_SPLIT = re.compile(r'\s[-–—]\s+(?=AUs?[\s_#]?\d)', re.I)
_SHARE_BEFORE = re.compile(
    r'(?P<share>\d{1,3}(?:\.\d{1,4})?\s?%)\s+(?:sure|certain|confident|confidence|likely|chance|likelihood|probability|possibility)\s+'
    r'(?:(?:that|of|about|in|for|on|the|there|is|presence|it|having|seeing)\s+){1,5}$',
    re.I,
)
_ENTRY = re.compile(r'\d\D{0,60}(?:[:=]|[-–—])\s*\S')
_MARK_BEFORE = re.compile(r'(?P<mark>[✓✗])\s*(?:[-–—:]\s*)?$')
_ITEM_START = 3
_LONGEST_HEAD = 5
_OWN_HEAD = re.compile(
    r'(?:AUs|action units) [a-z ]*(?=[ :]{1,3}\d)|', re.I
)  # 'AUs not seen: 4, 7'
_CONDITIONAL = re.compile(r'\s*(?:\([^()]{0,40}\)\s*)?would\b(?!\s+(?:be|appear|seem)\b)', re.I)
_JOINS = re.compile(r'\s*(?:,|and|or|和|及|与|/|&|\+|,\s?and|,\s?or)?\s*', re.I)
_WOULD_MEAN = re.compile(r'\bwhich\s+would\s+(?:be|indicate|mean|suggest|mark|require)\s+$', re.I)
# 'No' before a unit in Chinese, which has no blanks between words.
_HAN_NO = re.compile(r'[未没无不][\u3400-\u9fff]{0,6}\s?$')
_STAYS = re.compile(
    r'\W*(?:stays?|remains?)\s+(?:level|flat|still|neutral|relaxed|unchanged|put|in\s+place|at\s+rest)\b',
    re.I,
)
_NOT_DONE = re.compile(
    r"\s*(?:\([^()]{0,60}\)\s*)?(?:(?:is|are|was|were)\s+not|isn't|aren't|wasn't)\s+(\w+)", re.I
)
_IF = re.compile(r'\bif\s+(?:\w+\s+)?$', re.I)
_INVERTED = re.compile(r'(?:^|[,;:]\s*)(?:were|had)\s+$', re.I)  # 'Were AU6 active, …'
_WERE = re.compile(r'\s*(?:\([^()]{0,40}\)\s*)?(?:were|was|had)\b', re.I)
_LIKEWISE = re.compile(
    r'[,\s](?:just\s+)?as\s+(?:is|are|was|were|does|do)\s+$', re.I
)  # 'as is AU12'
_AND = re.compile(r'\s*,?\s*(?:and|or|nor|&)\s*', re.I)
_VALUE_OF_ALL = re.compile(r'\s*[:=]|[\u3400-\u9fff]')
_IF_IT_WERE = re.compile(r'\bwould\s+(?:be|have\s+been)\s+$', re.I)

_VALUE_LINE = re.compile(
    r'(?:(?:present|presence|active|activated|status|detected|visible|observed|state|answer|value)\s*:\s*)?(?P<value>[^:]{1,40})',
    re.I,
)


def merged(lines: list[str], finder: Finder) -> list[str]:
    """'AU4', 'No' in lines below one another is 'AU4: No'; so is 'AU4', 'present: no'."""
    found: list[str] = []
    first = next((line for line in lines if line), '')
    if verdicts.of_text(first) is not None and not finder(first):
        return lines  # 'Active', 'AU4', 'Inactive', 'AU12' are heads.
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


def claims(lines: list[str], finder: Finder) -> list[Claim]:
    """Claims of lines; units that only repeat the question count where nothing else is said."""
    lines = _without_cut_off(lines, finder)
    said = _revised(_of_lines(lines, finder, repeats=False))
    return said or _revised(_of_lines(lines, finder, repeats=True))


def _without_cut_off(lines: list[str], finder: Finder) -> list[str]:
    """A checklist without its last entry where the answer was cut off before the value."""
    entries = [line for line in lines if line]
    if len(entries) < 3 or not entries[-1].endswith((':', '=', ' -', ' –', ' —')):
        return lines
    valued = [line for line in entries[-3:-1] if len(finder(line)) == 1 and _ENTRY.search(line)]
    return lines[: len(lines) - 1 - lines[::-1].index(entries[-1])] if len(valued) == 2 else lines


def _revised(statements: Iterator[_Statement]) -> list[Claim]:
    """Claims of statements in order, without those that a later statement takes back."""
    found: list[Claim] = []
    for statement in statements:
        found = found[: len(found) - statement.takes_back] if statement.takes_back > 0 else found
        found = found if statement.takes_back >= 0 else []
        found += statement.claims
    return found


def _of_lines(lines: list[str], finder: Finder, *, repeats: bool) -> Iterator[_Statement]:
    """Claims of lines; a head such as 'Absent:' holds for the items below it."""
    section: bool | None = None
    blank = below_head = False
    for raw in lines:
        coded = finder is mentions.of_codes
        line = mentions.without_names(raw) if coded else mentions.without_numbers(raw)
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
        if repeats or not revisions.is_offering(line):
            yield from _of_line(line, finder, section if item else None, repeats=repeats)
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
        and ':' not in line
        and len(line.split()) <= _LONGEST_HEAD
        and verdicts.of_head(line) is not None
    )


def _of_line(
    line: str, finder: Finder, section: bool | None, *, repeats: bool
) -> Iterator[_Statement]:
    """Claims of one line, which may hold several statements and entries."""
    parts = [
        part
        for statement in texts.statements(line)
        for dashed in _dashed(statement)
        for part in revisions.parted(dashed)
    ]
    found = [finder(part) for part in parts]
    for i, (part, mentioned) in enumerate(zip(parts, found, strict=True)):
        if not mentioned:
            continue
        behind = []
        for after, others in zip(parts[i + 1 :], found[i + 1 :], strict=True):
            if others:
                break
            behind.append(after)
        asked = set() if repeats else revisions.offered(part, mentioned)
        said = [
            claim
            for i, claims in enumerate(_of_statement(part, mentioned, section, '. '.join(behind)))
            if i not in asked
            for claim in claims
        ]
        if revisions.corrects(part):
            said = [replace(claim, explicit=True) for claim in said]
        affirms = any(claim.present for claim in said)
        yield _Statement(said, revisions.replaced(part, mentioned[0]) if affirms else 0)


def _dashed(statement: str) -> list[str]:
    """'AU4 low - AU7 tight' are two statements, 'Yes - AU4' is one."""
    parts = _SPLIT.split(statement)
    if len(parts) > 1 and verdicts.of_text(parts[0]) is not None:
        return [statement]
    return parts


@dataclass(frozen=True)
class _Statement:
    """Claims of one statement, and how many before them it takes back (-1: all)."""

    claims: list[Claim]
    takes_back: int = 0


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
) -> Iterator[list[Claim]]:
    """Claims of one statement, mention by mention.

    Args:
      statement: plain.
      found: the action units that it mentions.
      section: what the head above says of the units of a listing.
      behind: statements of the same line that follow and mention none.
    """
    places = _places(statement, found)
    values = _values(places)
    spans = negation.merged(
        [*negation.denied_spans(statement), *revisions.first_thoughts(statement, behind)]
    )
    ignorant = negation.ignorant_spans(statement)
    side, denied_run, present = section, False, True
    supposed = _supposed(places)
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        titled = _OWN_HEAD.match(statement, place.mention.start)
        own = verdicts.of_head(titled[0]) if titled else None
        if head := _HEAD.search(place.before[-100:]):
            said_of_head = verdicts.of_head(head['head'])
            side = said_of_head if said_of_head is not None or i else section
        start = place.mention.start
        denied_run = _HAN_NO.search(place.before[-8:]) is not None or (
            denied_run and _JOINS.fullmatch(place.before) is not None
        )
        known = not negation.is_denied(start, ignorant)
        listed = i == 0 and start <= _ITEM_START and _announces(place)
        said = []
        for au in place.mention.aus:
            if denied_run or own is False:
                said.append(Claim(au, False))
            elif value is not None:
                said.append(Claim(au, value, explicit=True))
            elif side is not None:
                denied = side and negation.is_denied(start, spans)
                said.append(Claim(au, side and not denied, explicit=not side))
            elif not supposed[i]:
                described = describes(au, _description(place, behind)) if listed else None
                denied = negation.is_denied(start, spans) if described is None else not described
                denied = denied or _is_still(au, place) or (place.ends and denies_it(behind))
                said.append(Claim(au, not denied, known=known))
        if said and _LIKEWISE.search(place.before[-20:]):
            said = [replace(claim, present=present) for claim in said]
        present = said[-1].present if said else present
        yield said


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
        shared = (
            shared
            or _VALUE_OF_ALL.match(places[i + 1].after) is not None
            or (found[i + 1] is not None and _AND.fullmatch(places[i].after) is not None)
        )
        shared = shared and found[i] is None and _JOINS.fullmatch(places[i].after) is not None
        if shared:
            found[i] = found[i + 1]
    return found


def _value(place: _Place, *, leading: bool, runs: bool) -> bool | None:
    """The value next to a mention: a mark before it, or what `verdict_of` finds behind it."""
    mark = _MARK_BEFORE.search(place.before)
    if leading:
        return None if mark is None else mark['mark'] == '✓'
    share = _SHARE_BEFORE.search(place.before[-70:])
    if share:
        return verdicts.of_text(share['share'])
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


def _supposed(places: list[_Place]) -> list[bool]:
    """Which units are only supposed; 'AU6 and AU12 would …' holds for both."""
    found = [_is_supposed(place) for place in places]
    for i in reversed(range(len(places) - 1)):
        found[i] = found[i] or (found[i + 1] and _AND.fullmatch(places[i].after) is not None)
    return found


def _is_supposed(place: _Place) -> bool:
    """Whether the unit is only supposed: 'AU12 would lift the corners', 'it would be AU12 if'."""
    return bool(
        _CONDITIONAL.match(place.after)
        or _WOULD_MEAN.search(place.before[-40:])
        or _INVERTED.search(place.before[-10:])
        or (_IF.search(place.before[-30:]) and _WERE.match(place.after))
        or (
            _IF_IT_WERE.search(place.before[-30:])
            and re.match(r'\W*(?:\w+\W+){0,3}if\b', place.after)
        )
    )
