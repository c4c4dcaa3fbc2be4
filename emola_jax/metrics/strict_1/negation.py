"""Which parts of an English statement are denied: word-level negation and how far it reaches.

A negator denies what follows, to the end of its clause or noun phrase ('no sign of fear, anger or
disgust'); 'is not present', 'is absent', ': no' deny their subject, which stands before. Both are
found by rules over words, since a substring ('no' in 'nose') is no negation.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

Span = tuple[int, int]
"""Start (included) and end (excluded), in characters of the statement."""

_NOUN_NEGATOR = (
    r'no|without|neither|nor|lack(?:s|ed|ing)?(?:\s+of)?|absence\s+of|devoid\s+of|free\s+(?:of|from)'
    r'|rather\s+than|instead\s+of|as\s+opposed\s+to|unlike|anything\s+but|far\s+from'
    r'|opposite\s+of|rul(?:es?|ed|ing)\s+out|(?:absent|inactive|missing)(?=\s*(?::|AUs?\b|action|are))'
)
_VERB_NEGATOR = (
    r"not|never|none|nothing|cannot|hardly|barely|scarcely|\w+n['’]t|no\s+longer"
    r'|fail(?:s|ed|ing)?\s+to|less(?=[\w\s]+\bthan\b)'
)
_NEGATOR = re.compile(
    rf'\b(?:(?P<verb>{_VERB_NEGATOR})|(?P<noun>{_NOUN_NEGATOR}))(?!\w)', re.IGNORECASE
)
# These hold a negator and deny nothing.
_AFFIRMING = re.compile(
    r'\bnot\s+(?:only|just|merely|simply|solely|without|surprisingly|to\s+mention)\b'
    r'|\bnot\s+(?:as|so|nearly\s+as)\s+\w+\s+as\b|\bif\s+not\b'
    r'|\bno\s+(?:doubt|question|less)\b'
    r'|\b(?:nothing|none)\s+(?:but|other\s+than|short\s+of)\b'
    r"|\b(?:cannot|can\s+not|can['’]t)\s+(?:help\s+but|be\s+(?:missed|overlooked|ignored|denied))\b",
    re.IGNORECASE,
)

_PRESENT = (
    r'(?:present|active|activated|visible|seen|shown|engaged|evident|apparent|observed|observable'
    r'|detected|detectable|noticeable|noticed|discernible|displayed|involved|exhibited|found|among'
    r'|included|triggered|recruited)'
)
_BE = r'(?:is|are|was|were|seems?|appears?|remains?|can|could|does|do|did|has|have|be|been)'
_FILLER = r'(?:be|been|being|to|appear|seem|look|at|all|very|that|\w+ly)'
_UNSAID = r'(?=\s*(?:$|[,;.)\]}]|(?:while|whereas|but|and)\b))'
# Each denies its subject; 'head' is where the subject ends.
_DENYING_TAILS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf'\b{_BE}(?:\s+{_FILLER})*\s+(?:absent|missing|lacking|inactive|unlikely|excluded'
        rf'|ruled\s+out|none)\b',
        rf"\b(?:(?:{_BE}\s+)?(?:not|never)|cannot|\w+n['’]t)(?:\s+{_FILLER})*\s+{_PRESENT}\b",
        rf"\b(?:{_BE}\s+not|cannot|\w+n['’]t){_UNSAID}",
        rf"\b(?:not|never|\w+n['’]t)\s+(?:appears?|occurs?|acts?|activates?){_UNSAID}",
        r'\b(?:shows?|has|have|exhibits?|displays?)\s+no\s+(?:\w+\s+)?(?:activation|activity'
        r'|movement|contraction)\b',
        rf'(?<=[:=(\s])(?:no|none|absent|inactive|missing|false|0){_UNSAID}',
        r'(?<=[:=]\s)(?:no|none|absent|inactive|missing|false|0|not\s+\w+)(?=\s+[^\s:=]+\s*[:=])',
    )
)
_LABEL = re.compile(
    r'(?P<label>AUs?\s*[\d/+&\s]*\d|[\w/+&]+)["”\']?'
    r'(?:\s*\([^()]*\)|\s+[-–—]\s+[A-Za-z ]+?)?\s*[:=(]\s*$',
    re.IGNORECASE,
)

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STOPS = _set(
    'but however yet though although while whereas instead because since except besides than '
    'despite other apart aside ; – —'
)
_AUXILIARIES = _set(
    'is are was were has have had does do did can could may might will would looks seems appears '
    'remains'
)
_VERBS = _AUXILIARIES | _set(
    'suggests suggest indicates indicate conveys convey expresses express reflects reflect shows '
    'show displays display exhibits exhibit acts act dominates dominate reveals reveal implies '
    'imply makes make gives give means points leaves it they he she this there '
    "it's they're he's she's that's there's"
)
_LINKS = _set('that which who whether if')
_CONTRASTS = _set(
    'just simply only merely rather more mostly mainly leaving showing suggesting indicating '
    'conveying giving making full with along plus'
)
_STATUS = re.compile(rf'{_PRESENT}|absent|inactive|missing|yes|strong|weak|clear', re.IGNORECASE)
_LONGEST_ITEM = 3
_REACH = 60
"""Words beyond which nothing is denied; answers that repeat one word for ever are read fast."""
_LONGEST_LABEL = 80


@dataclass(frozen=True)
class Words:
    """A statement in words and marks, with where each stands."""

    texts: tuple[str, ...]
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, statement: str) -> Words:
        """Parts a statement."""
        found = list(_TOKEN.finditer(statement))
        return cls(
            tuple(t[0].lower().replace('’', "'") for t in found), tuple(t.span() for t in found)
        )

    def first_at(self, position: int) -> int:
        """Index of the first word that starts at or behind `position`."""
        return bisect.bisect_left(self.spans, (position, 0))


def denied_spans(statement: str) -> list[Span]:
    """Parts of one statement (see `prose.statements`) that it denies."""
    words = Words.of(statement)
    affirming = [found.span() for found in _AFFIRMING.finditer(statement)]
    spans = []
    for found in _NEGATOR.finditer(statement):
        if not is_denied(found.start(), affirming):
            end = scope_end(words, found)
            spans.append((found.start(), words.spans[end - 1][1] if end else found.end()))
    for pattern in _DENYING_TAILS:
        for found in pattern.finditer(statement):
            if not is_denied(found.start(), affirming) and not any(
                is_denied(start, [found.span()]) for start, _ in affirming
            ):
                spans.append((subject_start(statement, words, found.start()), found.end()))
    return spans


def is_denied(position: int, spans: list[Span]) -> bool:
    """Whether the character at `position` lies in one of the denied parts."""
    return any(start <= position < end for start, end in spans)


def scope_end(words: Words, negator: re.Match[str]) -> int:
    """Index behind the last word that the negator reaches."""
    texts = words.texts
    own, first = words.first_at(negator.start()), words.first_at(negator.end())
    is_value = own > 0 and texts[own - 1] in (':', '=')  # 'sadness: no'
    ending_verbs = _ending_verbs(negator)
    stops = _STOPS | {'as'} if texts[first : first + 2] == ('so', 'much') else _STOPS
    linked, opened, depth = False, False, 0
    furthest = min(len(texts), first + _REACH)
    for i in range(first, furthest):
        word = texts[i]
        depth += (word == '(') - (word == ')')
        if depth < 0 or word in stops:
            return i
        entry = _is_label(texts, i) and (opened or not _announces(word))
        if entry and (i > first or is_value):
            return i
        opened |= word in (',', ':')
        linked |= word in _LINKS
        if word in ending_verbs and i > first and not linked:
            return i
        if word == ',' and not _continues_list(texts, i + 1):
            return i
        if word == 'and' and not _continues_list(texts, i + 1, longest=len(texts)):
            return i
    return furthest


def _ending_verbs(negator: re.Match[str]) -> frozenset[str]:
    """Verbs that end the noun phrase of 'the lack of AU6 suggests …', 'no anger is …'."""
    if negator['verb']:
        return frozenset()
    return _AUXILIARIES if negator[0].lower() in ('no', 'neither', 'nor') else _VERBS


def _announces(word: str) -> bool:
    """Whether what follows a colon behind `word` belongs to the same clause: 'Not present: AU4'."""
    return word in ('following', 'aus', 'units') or re.fullmatch(_PRESENT, word) is not None


def _is_label(texts: tuple[str, ...], i: int) -> bool:
    """Whether word `i` starts an entry of a listing: 'AU4: …', 'AU 4 = …', 'sadness: …'."""
    if not texts[i][0].isalnum():
        return False
    after = i + 1
    while after < len(texts) and (texts[after].isdigit() or texts[after] in '"”\''):
        after += 1
    return after < len(texts) and texts[after] in (':', '=')


def _continues_list(texts: tuple[str, ...], first: int, longest: int = _LONGEST_ITEM) -> bool:
    """Whether the words behind a comma or an 'and' are one more denied item."""
    end = first
    while (
        end < min(len(texts), first + _REACH)
        and texts[end] not in _STOPS
        and texts[end] not in (',', ')')
    ):
        if end > first and _is_label(texts, end):
            break
        end += 1
    item = texts[first:end]
    if not item or item[0] in ('or', 'nor'):
        return True
    if item[0] in _CONTRASTS or ':' in item or '=' in item:
        return False
    if any(word in _VERBS or _STATUS.fullmatch(word) for word in item):
        return False
    return sum(word[0].isalnum() for word in item if word != 'and') <= longest


def subject_start(statement: str, words: Words, head: int) -> int:
    """Where the subject starts of which the words from `head` on deny the presence."""
    before = max(0, head - _LONGEST_LABEL)
    label = _LABEL.search(statement[before:head])
    if label:
        return before + label.start('label')
    i = words.first_at(head)
    nearest = max(0, i - _REACH)
    while i > nearest:
        word = words.texts[i - 1]
        if (word in _STOPS and word not in ('–', '—', 'other')) or word == '(':
            break
        aside = words.texts[nearest : i - 1]
        if word == ')' and '(' in aside:
            i -= aside[::-1].index('(') + 2
            continue
        if word in (',', 'and', 'or', '–', '—') and _is_clause(words.texts, i - 1):
            break
        i -= 1
    return words.spans[i][0] if i < len(words.spans) else head


def _is_clause(texts: tuple[str, ...], end: int) -> bool:
    """Whether the words up to `end`, back to the stop before them, are a clause of their own."""
    start = end
    furthest = max(0, end - _REACH)
    while start > furthest and texts[start - 1] not in _STOPS and texts[start - 1] != ',':
        start -= 1
    part = texts[start:end]
    if part and part[0] in _LINKS:  # 'AU12, which marks a smile, is absent'
        return False
    return any(word in _VERBS or _STATUS.fullmatch(word) for word in part) or (
        len(part) > _LONGEST_ITEM + 1 and texts[end] == ','
    )
