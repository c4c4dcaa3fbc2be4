"""The action units that a text names, under the two scorings of this project."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS, AU_NAMES
from emola_jax.metrics import readers

SCORED_AUS: dict[str, tuple[int, ...]] = {
    **AU_LISTS,
    'faba': (1, 2, 4, 5, 6, 10, 12, 17, 24, 25, 26, 43),
    'gft': (1, 2, 4, 6, 10, 12, 14, 15, 23, 24),
}
"""Action units whose mean F1 is S_re: of FABA-Instruct and GFT the released script scores fewer
than it parses."""

_LABEL = re.compile(r'[\s,;]*(?:(?:AU\s?)?\d{1,2}(?!\w)[\s,;]*)*', re.IGNORECASE)
_NUMBER = re.compile(r'\d+')
_CODE_AND_NAME = re.compile(
    r'(?<![A-Za-z])AU ?(?P<au>\d+) ?[-–—(] ?(?P<name>[A-Za-z]+(?: [A-Za-z]+){0,3}?) ?'
    r'(?=[:.,;()\d-]|AU ?\d|$)',
    re.IGNORECASE,
)


def reference_aus(text: str) -> frozenset[int]:
    """Numbers that the released script finds: digits right behind 'AU', negated or not."""
    return frozenset(int(digits) for digits in re.findall(r'AU(\d+)', text) if _is_plain(digits))


def reference_label(label: str) -> frozenset[int]:
    """Numbers that the released script reads in an annotation: split at ', ' and nowhere else."""
    return frozenset(int(part) for part in label.split(', ') if _is_plain(part))


def strict_aus(text: str, reader: str = readers.LATEST) -> frozenset[int]:
    """FACS numbers that `text` affirms, as a version of the strict reader reads it."""
    return readers.named(reader).aus(text) or frozenset()


def parse(text: str, reader: str = readers.LATEST) -> str | None:
    """What the strict scoring reads in `text`, as a label ('4, 9'), or None for an unparsed one."""
    aus = readers.named(reader).aus(text)
    return None if aus is None else ', '.join(str(au) for au in sorted(aus))


def parse_label(label: str) -> frozenset[int]:
    """Numbers of an annotation such as '4, 9', '4;9' or 'AU4 AU9'; '' is a face at rest."""
    return frozenset(int(number) for number in _NUMBER.findall(label))


def is_label(label: str) -> bool:
    """Whether `label` is an annotation that `parse_label` understands: FACS numbers or nothing."""
    return _LABEL.fullmatch(label) is not None


def is_unparsed(text: str, reader: str = readers.LATEST) -> bool:
    """Whether `text` neither mentions an action unit nor says that none is active."""
    return readers.named(reader).aus(text) is None


def code_name_agreement(text: str, dataset_aus: Sequence[int]) -> tuple[int, int]:
    """Counts listings such as 'AU20 - Lip Stretcher' of the given action units.

    Returns:
      Listings whose name is the FACS name of the code (in any case), and all listings.
    """
    agreeing = total = 0
    for found in _CODE_AND_NAME.finditer(' '.join(text.split())):
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
    return len(digits) < 10 and digits.isascii() and digits.isdigit() and digits[0] != '0'
