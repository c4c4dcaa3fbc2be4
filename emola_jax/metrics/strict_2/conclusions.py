"""Which of all the emotions that an answer speaks of is the one it states.

Every emotion word that is not denied gets a rank: a stated answer, the head of a line and a
conclusion beat a sentence about the person, which beats what the brows or lips suggest; words that
name an emotion beat hints of one; what only might hold, or was conceded, comes last.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from emola_jax.facs import EMOTIONS
from emola_jax.metrics.strict_2 import negation, tables

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_CLAUSE = re.compile(
    r',|;|:|\s[-–—]\s|[–—()]|\b(?:but|yet|however|while|whereas|although|though|even though'
    r'|despite|because|since|whilst)\b',
    re.I,
)
_NO_EMOTION = re.compile(
    r"\b(?:no|not|without|nothing(?:\s+\w+){0,6}?|lack(?:s|ing)?|absence|devoid|little|\w{2,9}n't)\s+"
    r'(?:(?:of|any|an?|to|show(?:s|ing)?|display(?:s|ing)?|express(?:es|ing)?|convey(?:s'
    r'|ing)?|have|has|having|particular|strong|clear|specific|obvious|apparent'
    r'|distinct|discernible|visible|real|much|facial|significant|noticeable|intense|overt'
    r'|pronounced|evident|emotional|or|single)\s+){0,5}'
    r'(?:emotions?|expressions?|feelings?|emotional\s+(?:content|expression|display|tone|cues?))\b(?!\s+(?:of|such|other|except|besides|than))',
    re.I,
)
_CANNOT_BE_READ = re.compile(
    r"\b(?:can|could|may|to)(?:not|\s+not|n't)?\s+be\s+(?:\w+ly\s+)?(?:determined|read"
    r'|identified|recogni[sz]ed|inferred|assessed|analy[sz]ed'
    r'|judged|given|provided|made\s+out|found|told|classified|assigned|detected|discerned'
    r'|seen)\b|\bto\s+(?:determine|identify|read|assess|analy[sz]e|be\s+(?:identified|read))\b'
    r'|\b(?:i|ai|model|assistant)\b[^.]{0,40}\b(?:have|experience|possess|feel|capable'
    r'|identify|determine|recogni[sz]e|read|analy[sz]e)\b'
    r'|\bno\s+(?:face|person|image|picture|photo)\b|\bnot\s+(?:possible|able)\b|\bunable\b',
    re.I,
)
_SUPPOSED = re.compile(r'\W+(?:\w+\s+){0,2}?(?:would|should)\b', re.I)
_RUN = re.compile(r'\s*(?:,\s*(?:and|or)?|and|or|/|\||&|;|"|\'|\)|\()*\s*', re.I)
_HEADED = re.compile(r"\s*(?P<head>[A-Za-z][\w\s'()-]{0,40}?)\s*(?::|\s[-–—]\s|=)\s*(?P<rest>.+)")
_RANKING = re.compile(
    r'\b(?:rank\w*|top|order\w*|likel\w+|descending)\b[^:]{0,30}:\s*(?:1\W{0,3})?(?P<word>[A-Za-z]+)',
    re.I,
)
_BUT_ANOTHER = re.compile(
    r'\b(?:but|yet|however),?\s+(?:the|a|an|he|she|it|they|this|his|her|their|its)\b', re.I
)
# What is written in the picture is not said of the face.
_WRITTEN = re.compile(
    r'\b(?:caption|sign|text|title|poster|banner|shirt|subtitle|headline)\b[^\'"]{0,30}[\'"][^"\']{1,80}[\'"]',
    re.I,
)
_BUT = re.compile(r'\b(?:but|yet|however)\b', re.I)
_SHORT = 4
_LONGEST_CLAUSE = 300
_ECHOED, _MANY = 3, 4

_FINAL, _LABEL, _SECOND = 90, 80, 15
# By strength of the word: weak, clear, name.
_CONCLUSION, _SUBJECT, _PART = (40, 55, 70), (30, 45, 60), (20, 35, 50)
_LESSER = (10, 24, 37)
_LAST_WINS = (_FINAL, *_CONCLUSION)


@dataclass(frozen=True)
class _Word:
    """An emotion word (or idiom) in its statement."""

    label: int
    strength: int
    start: int
    end: int


@dataclass(frozen=True)
class _Said:
    """One emotion that is said, with its rank and the place of its statement.

    Attributes:
      rank: how much it counts.
      place: number of its statement.
      label: 0..6.
      named: whether the word names the emotion outright.
      contrasted: whether it follows a 'but'.
    """

    rank: int
    place: int
    label: int
    named: bool
    contrasted: bool = False


def has_word(text: str) -> bool:
    """Whether `text` has some word of the tables."""
    return bool(_words(text))


def is_echo(line: str) -> bool:
    """Whether a line repeats the question or its options."""
    head = tables.CONCLUSIONS['echoes'].match(line)
    return (
        head is not None
        and re.match(r'[\w\s()]{0,40}:', line[head.start() :]) is not None
        and not _answers(line)
    )


def _answers(line: str) -> bool:
    return tables.CONCLUSIONS['finals'].search(line) is not None


def emotion(statements: Iterable[str]) -> int | None:
    """Label 0..6 of the emotion that `statements` (see `texts.statements`) state, or None."""
    said: list[_Said] = []
    for place, statement in enumerate(statements):
        said += _of_statement(statement, place)
    if not said:
        return None
    rank = max(item.rank for item in said)
    best = [item for item in said if item.rank == rank]
    last = rank in _LAST_WINS
    chosen = (max if last else min)(item.place for item in best)
    here = [item for item in best if item.place == chosen]
    if rank in (*_PART, *_SUBJECT, *_CONCLUSION) and any(item.contrasted for item in here):
        here = [item for item in here if item.contrasted]
    if here[0].named or rank in (_FINAL, _LABEL):
        return here[0].label
    # Counter keeps the order of first occurrence, and max the first of equals.
    counts = Counter(item.label for item in here)
    return max(counts, key=counts.__getitem__)


def _of_statement(statement: str, place: int) -> list[_Said]:
    if is_echo(statement):
        return []
    ranked = _RANKING.search(statement)
    if ranked and (known := tables.EMOTION_WORDS.get(ranked['word'].lower())):
        return [_Said(_LABEL, place, known[0], True)]
    spans = negation.denied_spans(statement)
    ignorant = negation.ignorant_spans(statement)
    quoted = [found.span() for found in _WRITTEN.finditer(statement)]
    words = [
        word
        for word in _without_options(statement, _words(statement))
        if not negation.is_denied(word.start, spans)
        and not negation.is_denied(word.start, ignorant)
        and not _SUPPOSED.match(statement, word.end)
        and not negation.is_denied(word.start, quoted)
    ]
    if not words:
        return _of_no_emotion(statement, place)
    head = _head(statement, words[0])
    concluding = [m.start() for m in tables.CONCLUSIONS['markers'].finditer(statement)]
    lesser = sorted(
        found.span()
        for pattern in (tables.CONCLUSIONS['lesser'], tables.FIRST_THOUGHTS)
        for found in pattern.finditer(statement)
    )
    final = tables.CONCLUSIONS['finals'].search(statement)
    but = _BUT.search(statement)
    turned = but.start() if but else len(statement)
    another = _BUT_ANOTHER.search(statement) is not None
    decisive = tables.CONCLUSIONS['decisive'].search(statement)
    decided = decisive.start() if decisive and words[-1].start > decisive.end() else 0
    found = []
    for word in words:
        if final and word.start >= final.end():
            rank = _FINAL
        elif head is not None:
            rank = head
        else:
            rank = _rank(statement, word, [] if word.start < decided else concluding, lesser)
        contrasted = turned < word.start
        contrasted = contrasted and (
            rank in _PART
            or (rank in _SUBJECT and another)
            or (rank in _CONCLUSION and concluding[-1] > turned)
        )
        found.append(_Said(rank, place, word.label, word.strength == 2, contrasted))
    return found


def _rank(statement: str, word: _Word, concluding: list[int], lesser: list[negation.Span]) -> int:
    first = bisect.bisect_left(lesser, (_clause_start(statement, word.start), 0))
    weighed = first < len(lesser) and lesser[first][1] <= word.start
    after = statement[word.end : word.end + 40]
    mark = _CLAUSE.search(after)
    later = tables.CONCLUSIONS['lesser_after'].search(after[: mark.start()] if mark else after)
    if later or weighed:
        return _LESSER[word.strength]
    if concluding:
        return _CONCLUSION[word.strength]
    noun = _WORD.match(statement, word.end + 1)
    of_part = noun is not None and noun[0].lower() in tables.PARTS  # 'A neutral mouth.'
    return (_PART if of_part or _is_about_parts(statement, word.start) else _SUBJECT)[word.strength]


def _is_about_parts(statement: str, end: int) -> bool:
    """Whether what is said at `end` is said of brows or lips, not of the person or the face."""
    for word in reversed(_WORD.findall(statement[max(0, end - _LONGEST_CLAUSE) : end].lower())):
        said = word if word in tables.SUBJECTS else word.removesuffix("'s")
        if said in tables.PARTS or said in tables.SUBJECTS:
            return said in tables.PARTS
    return False


def _clause_start(statement: str, end: int) -> int:
    """Where the clause begins that has `end`, with the conjunction that begins it."""
    begin = max(0, end - _LONGEST_CLAUSE)
    for mark in _CLAUSE.finditer(statement, begin, end):
        begin = mark.start() if mark[0][0].isalpha() else mark.end()
    return begin


def _head(statement: str, first: _Word) -> int | None:
    """The rank of what stands behind a head ('Emotion: sad') or alone ('Sad.'), else None."""
    headed = _HEADED.fullmatch(statement)
    if headed and headed.start('rest') <= first.start:
        head = headed['head']
        if tables.CONCLUSIONS['reasons'].match(head):
            return None
        if tables.CONCLUSIONS['seconds'].search(head):
            return _SECOND
        if tables.CONCLUSIONS['heads'].search(head):
            return _LABEL
        return None
    words = _WORD.findall(statement)
    return _LABEL if len(words) <= _SHORT and first.strength == 2 and not _verb(words) else None


def _verb(words: list[str]) -> bool:
    return any(
        word.lower() in ('may', 'might', 'could', 'possibly', 'perhaps', 'maybe', 'some')
        for word in words
    )


def _of_no_emotion(statement: str, place: int) -> list[_Said]:
    """'Shows no emotion' is neutral; 'no emotion can be read' says nothing."""
    found = _NO_EMOTION.search(statement)
    if not found or _CANNOT_BE_READ.search(statement):
        return []
    return [_Said(_SUBJECT[1], place, EMOTIONS.index('neutral'), False)]


def _words(statement: str) -> list[_Word]:
    """Emotion words of a statement in order; an idiom takes the words that it is made of."""
    taken: list[tuple[int, int]] = []
    found: list[_Word] = []
    for pattern, label, strength in tables.IDIOMS:
        for idiom in pattern.finditer(statement):
            taken.append(idiom.span())
            if label is not None:
                found.append(_Word(label, strength, *idiom.span()))
    spans = negation.merged(taken)
    for token in _WORD.finditer(statement):
        known = tables.EMOTION_WORDS.get(token[0].lower())
        if known and not negation.is_denied(token.start(), spans):
            found.append(_Word(*known, *token.span()))
    return sorted(found, key=lambda word: word.start)


def _without_options(statement: str, words: list[_Word]) -> list[_Word]:
    """Leaves out a list of classes to choose from: three or more names in a row."""
    kept: list[_Word] = []
    run: list[_Word] = []
    for word in words:
        if run and not (_RUN.fullmatch(statement[run[-1].end : word.start]) and word.strength == 2):
            kept += _chosen(statement, run)
            run = []
        run.append(word)
    return kept + _chosen(statement, run)


def _chosen(statement: str, run: list[_Word]) -> list[_Word]:
    """The words of a run that count: of options only a last one that repeats an earlier one."""
    if not run or not _is_options(statement, run):
        return run
    return run[-1:] if run[-1].label in {word.label for word in run[:-1]} else []


def _is_options(statement: str, run: list[_Word]) -> bool:
    classes = len({word.label for word in run})
    if classes >= _MANY:
        return True
    if classes < _ECHOED - 1:
        return False
    if classes >= _ECHOED and re.match(r'\s*[:?]', statement[run[-1].end :][:3]):
        return True
    before = statement[max(0, run[0].start - 30) : run[0].start]
    offered = re.search(
        r'(?:\b(?:options?|choices?|choose|among|between|from|of the|either|such as|like'
        r'|including|e\.g\.|emotions)\b\W*(?:\w+\W+){0,3}|\()$',
        before,
        re.I,
    )
    return offered is not None and (classes >= _ECHOED or 'such as' in before or 'etween' in before)
