"""The action units that a text names, under the two scorings of this project."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS, AU_NAMES
from emola_jax.metrics import negation

SCORED_AUS: dict[str, tuple[int, ...]] = {
    **AU_LISTS,
    'faba': (1, 2, 4, 5, 6, 10, 12, 17, 24, 25, 26, 43),
    'gft': (1, 2, 4, 6, 10, 12, 14, 15, 23, 24),
}
"""Action units whose mean F1 is S_re: of FABA-Instruct and GFT the released script scores fewer
than it parses."""

# One mention: 'AU12', 'AU 04', 'au_6', 'Action Units 1, 2 and 4', 'AU26/27', 'AU1+2+5'.
_MENTION = re.compile(
    r'(?<![A-Za-z])(?P<word>AUs?|action[ \t]+units?)[ \t_#:.-]*'
    r'(?P<numbers>\d+(?:[ \t]*[/+&][ \t]*(?:AU[ \t]*)?\d+|[-–]\d+)*'
    r'(?P<list>(?:[ \t]*(?:,|and|or|,[ \t]*and)[ \t]*\d+)*))',
    re.IGNORECASE,
)
_PLURAL = re.compile(r'AUs|units', re.IGNORECASE)
_NUMBER = re.compile(r'\d+')
_NONE_ACTIVE = re.compile(
    r'\b(?:no|none of the|without(?: any)?)\s+(?:\w+\s+){0,2}(?:action\s+units?|AUs?)\b',
    re.IGNORECASE,
)
_CODE_AND_NAME = re.compile(
    r'(?<![A-Za-z])AU[ \t]*(?P<au>\d+)[ \t]*[-–—(][ \t]*'
    r'(?P<name>[A-Za-z]+(?:[ \t]+[A-Za-z]+){0,3})[ \t]*(?=[:.,;()\n-]|$)',
    re.IGNORECASE,
)


def reference_aus(text: str) -> frozenset[int]:
    """Numbers that the released script finds: digits right behind 'AU', negated or not."""
    return frozenset(int(digits) for digits in re.findall(r'AU(\d+)', text) if _is_plain(digits))


def reference_label(label: str) -> frozenset[int]:
    """Numbers that the released script reads in an annotation: split at ', ' and nowhere else."""
    return frozenset(int(part) for part in label.split(', ') if _is_plain(part))


def strict_aus(text: str) -> frozenset[int]:
    """FACS numbers that `text` affirms, however they are written; denied ones are left out."""
    found = set()
    for sentence in _lines(text):
        spans = negation.denied_spans(sentence)
        for mention in _MENTION.finditer(sentence):
            if not negation.is_denied(mention.start(), spans):
                found.update(_numbers(mention))
    return frozenset(found & AU_NAMES.keys())


def parse(text: str) -> str | None:
    """What the strict scoring reads in `text`, as a label ('4, 9'), or None for an unparsed one."""
    if is_unparsed(text):
        return None
    return ', '.join(str(au) for au in sorted(strict_aus(text)))


def parse_label(label: str) -> frozenset[int]:
    """Numbers of an annotation such as '4, 9', '4;9' or 'AU4 AU9'; '' is a face at rest."""
    return frozenset(int(number) for number in _NUMBER.findall(label))


def is_unparsed(text: str) -> bool:
    """Whether `text` neither mentions an action unit nor says that none is active."""
    return _MENTION.search(text) is None and _NONE_ACTIVE.search(text) is None


def code_name_agreement(text: str, dataset_aus: Sequence[int]) -> tuple[int, int]:
    """Counts listings such as 'AU20 - Lip Stretcher' of the given action units.

    Returns:
      Listings whose name is the FACS name of the code (in any case), and all listings.
    """
    agreeing = total = 0
    for found in _CODE_AND_NAME.finditer(text):
        au = int(found['au'])
        if au in dataset_aus:
            total += 1
            agreeing += found['name'].lower().split() == AU_NAMES[au].lower().split()
    return agreeing, total


def scored_aus(dataset: str) -> tuple[int, ...]:
    """Action units whose mean F1 is the data set's S_re.

    Raises:
      UserError: for a data set without a list.
    """
    if dataset not in SCORED_AUS:
        raise UserError(f'data set {dataset!r}: expected one of {", ".join(sorted(SCORED_AUS))}')
    return SCORED_AUS[dataset]


def _is_plain(digits: str) -> bool:
    """Whether the script's table of ASCII numbers without leading zeros could hold `digits`."""
    return digits.isascii() and digits.isdigit() and not digits.startswith('0')


def _lines(text: str) -> list[str]:
    return [line for part in text.splitlines() for line in negation.sentences(part)]


def _numbers(mention: re.Match[str]) -> set[int]:
    """Numbers of one mention; those after commas and 'and' belong to it only if it is plural."""
    text = mention['numbers']
    if not _PLURAL.search(mention['word']):
        text = text[: len(text) - len(mention['list'])]
    return {int(number) for number in _NUMBER.findall(text)}
