"""What stands next to an action unit in a listing: its value, or a description that denies it."""

from __future__ import annotations

import re

from emola_jax.metrics.strict_2 import tables, verdicts

_PARTS = re.compile(
    r'[:=()|–—;,?>]+|\s-+(?=\s|$)|^\s*-+|\[|\]'
    r'|(?<!not )\b(?:since|because|due\s+to|owing\s+to|as\s+the)\b',
    re.I,
)
_TIED = re.compile(r'\s*(?:[)"\'\]]\s*)?(?:[:=(|–—>\[]|-+\s|\s-|-)')
_NOT_SO = re.compile(
    rf'not\s+(?!only|very|so|too|just|much|fully|sure|as\b|{tables.DEGREES})[a-z]+',
    re.I,
)
_SIGN = re.compile(r'["\']?\s*[:=(\[]\s*([+-])\s*[,;.)\]]?\s*')
# 'The nose is wrinkled, but not strongly' gives no value.
_AFTERTHOUGHT = re.compile(r',\s*\S+\s+\S[^,:;()|]*$')
_SET = re.compile(r'\s*[)"\'\]]?\s*(?:[:=|>]|[-–—]\s)')
_CLOSING = tuple(',;.)|]')
_NUMBERED = re.compile(r'\s*\(?\d{1,2}[.)]\s*$')
_SAID_NUMBER = re.compile(
    r'\b(?:probability|likelihood|intensity|score|activation|level|value)\b[^.;,]{0,12}?\s'
    r'(?P<number>\d{1,3}(?:\.\d{1,6})?\s?%?)(?![\d/])|^\s*of\s+(?P<of>\d{1,3}(?:\.\d{1,6})?\s?%?)(?!\d)',
    re.I,
)
_NAME_LIKE = re.compile(
    r"(?!.*\b(?:is|are|was|were|the|they|it)\b)(?:[A-Za-z'/-]+\s?){1,5}|[^\x00-\x7f]{1,20}"
)
_VALUE_FOLLOWS = re.compile(r'^[^:=,;.(]{1,40}[:=]\s*\S')
_MOST_PARTS = 6


def verdict_of(after: str, *, ends: bool) -> bool | None:
    """What the text between an action unit and the next one says of it as a value, if it does.

    Args:
      after: that text.
      ends: whether the statement ends with it; else another action unit follows.
    """
    after = after[:400] if ends else _NUMBERED.sub('', after[:400])
    sign = _SIGN.fullmatch(after)
    if sign:
        return sign[1] == '+'
    parts = [part.strip() for part in _PARTS.split(after)]
    said = [part for part in parts if re.search(r'[\w✓✗]', part)]
    if not said:
        return None
    tied = _TIED.match(after) is not None
    # 'AU12, no AU4': a last part that runs on to the next unit belongs to that one.
    closed = after.rstrip()[-1:] in _CLOSING
    heads = after.rstrip()[-1:] in (':', '=')  # '… | not: AU4'
    runs_on = not (ends or closed or (len(said) == 1 and not heads and _SET.match(after)))
    for place, part in enumerate(said[:_MOST_PARTS]):
        if runs_on and place == len(said) - 1:
            break
        verdict = verdicts.of_text(part)
        if verdict is None and place == 0 and tied and _NOT_SO.fullmatch(part):
            return False
        if verdict is not None and place == 0 and not tied and _VALUE_FOLLOWS.search(after):
            verdict = None  # 'AU4 present: no'
        if verdict is not None:
            return verdict
        if not _NAME_LIKE.fullmatch(part):
            break
    if len(said) > 1 and not runs_on and tied and not _AFTERTHOUGHT.search(after):
        verdict = verdicts.of_text(said[-1])
        if verdict is not None:
            return verdict
    number = _SAID_NUMBER.search(after)
    return verdicts.of_text(number['number'] or number['of']) if number else None


_CLAUSE = re.compile(
    r'[.;:]\s|,\s|\b(?:but|however|although|though|while|yet|and)\b|\s[–—-]\s', re.I
)
_NEGATES = re.compile(
    r"\b(?:not|no|never|without|neither|nor|lack\w*|absence|fail\w*|cannot|\w+n't|hardly|scarcely)\b(?!\s+(?:only|just|merely|simply))",
    re.I,
)
_ITSELF = re.compile(
    r"^\W*(?:(?:this|it|that|the|such)\b(?:\s+(?:action\s+unit|unit|au|action|movement|muscle|one))?\s+[^,;.]{0,40}?\b(?:not|n't|never|\w+n't)\s+"
    r'[^,;.]{0,30}\b(?:present|active|activated|visible|seen|observed|evident|detected|engaged|apparent|involved|there|noticeable|displayed|shown|the\s+case)\b'
    r'|(?:this|it|the\s+action)\b[^,;.]{0,40}\b(?:absent|inactive|missing|unlikely)\b'
    r'|(?:not|never|isn\'t|no\s+longer)\s+(?:\w+ly\s+|at\s+all\s+)?(?:present|active|activated|visible|seen|observed|evident|detected|engaged|apparent|involved|noticeable|displayed|shown|discernible|clear)\b'
    r'|(?:no|without|little\s+to\s+no|lack\s+of|absence\s+of)\s+(?:\w+\s+){0,3}(?:movement|activation|activity|sign|signs|evidence|indication|contraction|change|action|tension|involvement|trace)\b'
    r'|absent|inactive|none\b)',
    re.I,
)
_NOT_IT = re.compile(
    r'(?:(?:but|yet|however|actually|in fact|on closer inspection|on (?:a )?(?:closer|second) look'
    r'|upon closer \w+|looking closer)\b,?\s+)?(?:it|this|that|they)\s+'
    r"(?:(?:is|was|are|were|does|do|did)(?: not|n't)"
    r'|(?:is|was|are|were) (?:absent|inactive|missing))'
    r'\s*(?:present|active|activated|visible|there|the case|so|after all|seen|observed)?'
    r'\s*(?:$|[.,;])',
    re.I,
)
_AT_REST = re.compile(
    r'\b(?:remains?|stays?|is|are|appears?|looks?)\s+(?:\w+ly\s+)?(?:relaxed|neutral|at\s+rest|unmoved|unchanged|still|flat|in\s+(?:a\s+|their\s+)?neutral)\b',
    re.I,
)
_WORD = re.compile(r'[a-z]+')


def describes(au: int, description: str) -> bool | None:
    """Whether the description of an entry denies its action unit (False), or affirms it (True).

    'AU2: the outer brows are not raised' denies; that the corners are not raised says nothing about
    AU17, the chin. Where one clause denies and another affirms, the unit is there.
    """
    denies = affirms = False
    for clause in _CLAUSE.split(description[:600]):
        said = _clause(au, clause)
        denies |= said is False
        affirms |= said is True
    return True if affirms else False if denies else None


def denies_it(behind: str) -> bool:
    """Whether the statements behind a unit begin by denying it, as 'On a closer look it is not'."""
    return _NOT_IT.match(behind) is not None


def _clause(au: int, clause: str) -> bool | None:
    if _ITSELF.match(clause.strip()):
        return False
    if au not in tables.ACTS_OF or not _is_about(au, clause):
        return None
    contrary = tables.CONTRARY_OF.get(au)
    if contrary and (found := contrary.search(clause)):
        return _NEGATES.search(clause[: found.start()]) is not None
    act = tables.ACTS_OF[au].search(clause)
    if act:
        return _NEGATES.search(clause[: act.start()]) is None
    return False if _AT_REST.search(clause) else None


def _is_about(au: int, clause: str) -> bool:
    """Whether a clause speaks of the parts that the unit moves, or of none at all."""
    words = _WORD.findall(clause.lower())
    parts = {word.removesuffix('s') for word in words} & tables.ALL_PARTS
    return not parts or bool(parts & set(tables.PARTS_OF[au]))
