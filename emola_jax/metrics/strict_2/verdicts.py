"""What a value says: 'yes', 'not present', '0.85', '3/5', 'B', a check mark, true."""

from __future__ import annotations

import difflib
import functools
import itertools
import re
from typing import Any

from emola_jax.metrics.strict_2 import tables

EVEN = 0.5
"""A probability (a share, a decimal below 1) says 'present' from here on."""

_NUMBER = re.compile(
    r'(?:at\s+)?(?:(?:the|an?|with)?\s*(?:intensity|level|score|probability|prob|likelihood|confidence|value'
    r'|strength|grade|p)\s*(?:of|is|:|=)?\s*)?[~≈<>≥≤]?\s*'
    r'(?P<value>[-+]?\d{1,6}(?:\.\d{0,12})?|\.\d{1,12})\s*(?P<of>%|(?:/|out of)\s*\d{1,4}(?:\.0)?)?'
    r'(?:\s+(?:intensity|level|points?|likely|likelihood|probability|probable|chance|sure|certain|confident|confidence|confidence\s+level))?',
    re.IGNORECASE,
)
_LETTER = re.compile(r'(?:(?:intensity|level|grade)\s*:?\s*)?[A-E]', re.ASCII)
_LETTER_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
_OF_A_NUMBER = re.compile(r'\b(?:not|no)\s+\d')
_NOT_MUCH = re.compile(
    rf"(?:\bnot|n't)\s+(?:only|just|merely|simply|{tables.DEGREES}"
    r'|(?:very|so|too|particularly|especially)(?!\s+(?:likely|probable|plausible|sure|certain)))\b'
)
_SIDES = re.compile(r'\bon\s+(?:the\s+)?(?:left|right|both|one|either|each)\b(?:\s+sides?)?')
_NOT_ALL = re.compile(r'\bnot\s+(?:all|every|each)\b')
_NOT_VERB = re.compile(r"(?:\w+n't|cannot)\Z")
_LONGEST = 60
_AROUND = ' \t\'"“”,;:!*`[]{}'
_YES, _NO = '✓', '✗'
_DENYING_PREFIXES = ('non', 'un', 'in', 'not-', 'de')


def of_text(text: str) -> bool | None:
    """Whether a short value affirms (True) or denies (False); None if it is no verdict."""
    text = _stripped(text)
    if not text or len(text) > _LONGEST:
        return None
    if text[0] in _YES + _NO:
        return text[0] == _YES
    number = _NUMBER.fullmatch(text)
    if number:
        return of_number(float(number['value']), number['of'] or '')
    if _LETTER.fullmatch(text):
        return True
    return _of_words(_SIDES.sub('', text.lower()))


def _stripped(text: str) -> str:
    """`text` without quotes and marks around it; the dot of '.9' stays."""
    return text.rstrip(_AROUND + '.').lstrip(_AROUND)


def of_number(value: float, of: str = '') -> bool:
    """Whether a number says 'present'.

    A percentage counts from 50, a decimal below 1 (a probability) from 0.5, an intensity from 1:
    of 3/5 the 3. A scale of ten and more is a share.
    """
    if '%' in of:
        return value >= 100 * EVEN
    scale = re.search(r'\d+', of)
    if scale and int(scale[0]) >= 10:
        return value >= EVEN * int(scale[0])
    if value > 10:
        return value >= 100 * EVEN
    return value >= EVEN


def of_value(value: Any) -> bool | None:
    """The same of a value of JSON: null denies, and so does an empty list."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, int | float):
        return of_number(float(value))
    if isinstance(value, str):
        return of_text(value) if value.strip() else False
    return None


def share(text: str) -> float | None:
    """How much a value gives to its key, for the largest share: '85%', '0.2', 'high', 'no'."""
    text = _stripped(text)
    number = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if number:
        return float(number['value'])
    if text.lower() in tables.GRADES:
        return tables.GRADES[text.lower()]
    verdict = None if _LETTER.fullmatch(text) else of_text(text)
    return None if verdict is None else float(verdict)


def of_head(text: str) -> bool | None:
    """Whether a head ('Present', 'AUs that are not active') affirms or denies what follows."""
    if len(text) > 2 * _LONGEST:
        return None
    text = text.lower()
    return None if _NOT_ALL.search(text) else _of_words(text, all_known=False)


def _of_words(text: str, *, all_known: bool = True) -> bool | None:
    if all_known and _OF_A_NUMBER.search(text):
        return None  # 'not 4' says nothing of what stands before.
    if all_known and _NOT_MUCH.search(text):
        return None  # 'not extreme' does not deny.
    words = _LETTER_WORD.findall(text)
    kinds = [_kind(word) for word in words]
    if not words or (all_known and None in kinds):
        return None
    if any(_cancel(word, after) for word, after in itertools.pairwise(words)):
        return True
    if 'deny' in kinds:
        return False
    return True if 'affirm' in kinds else None


def _cancel(word: str, after: str) -> bool:
    """Whether two words deny each other: 'not absent', "isn't inactive"."""
    negates = word in ('not', 'never') or _NOT_VERB.match(word) is not None
    return negates and after not in tables.NEGATORS and _kind(after) == 'deny'


@functools.lru_cache(4096)
def _kind(word: str) -> str | None:
    """Whether a word denies, affirms or does neither; None for a word of another kind."""
    if word in tables.DENYING or _NOT_VERB.match(word):
        return 'deny'
    if word in tables.AFFIRMING:
        return 'affirm'
    for prefix in _DENYING_PREFIXES:
        if word.startswith(prefix) and word.removeprefix(prefix).strip('-') in tables.AFFIRMING:
            return 'deny'
    if word in tables.FILLER:
        return 'filler'
    if '\u3400' <= word[0] <= '\u9fff':
        return 'deny' if word[0] in '未没不无否' else 'affirm' if _SEEN.search(word) else None
    near = difflib.get_close_matches(word, _LONG, 1, 0.87) if 6 <= len(word) <= 14 else []
    return _kind(near[0]) if near and abs(len(near[0]) - len(word)) <= 1 else None


_SEEN = re.compile('激活|存在|出现|可见|检测到|是|有')
# A slip of the pen in a long word: 'abscent', 'presnt'.
_LONG = sorted(word for word in tables.DENYING | tables.AFFIRMING if len(word) >= 6)
