"""Which parts of an English statement are denied, version 2: the rules of `strict_1`, and more.

How far a negator reaches is decided as before (`strict_1.negation.scope_end`, `subject_start`).
More words deny; patterns are bounded, so that reading is linear; lists of codes and phrases of
ignorance ('difficult to say whether …') are denied whole.
"""

from __future__ import annotations

import bisect
import re
import sys
from collections.abc import Iterable

from emola_jax.metrics.strict_1 import negation as scopes
from emola_jax.metrics.strict_2 import tables

Span = scopes.Span

_NOUN_NEGATOR = (
    r'no|without|neither|nor|lack(?:s|ed|ing)?(?:\s+of)?|absence\s+of|devoid\s+of'
    r'|in\s+(?:place|lieu)\s+of|what\s+(?:looks|seems|appears|looked|seemed|appeared)\s+(?:to\s+be|like)'
    r'|(?:usually|typically|often|commonly|normally|generally)\s+(?:\w+\s+){0,2}?'
    r'(?:paired|accompanied|combined|coupled|associated|linked|together)\s+(?:with|by)'
    r'|(?:prevent|hinder|imped|block|hamper|frustrat)\w*\s+(?:(?:an?|the|any|us|me)\s+)?(?:\w+\s+)?'
    r'(?:assessment|evaluation|coding|judge?ment|detection|view|reading|analysis|estimation|seeing|assessing|judging)(?:\s+of)?'
    r'|(?:little|scant|not\s+much|hardly\s+any|barely\s+any)\s+(?:evidence|signs?|indication|trace|support)\s+(?:of|for)'
    r'|(?:reverse|antithesis)\s+of|resembl(?:es?|ing)|(?:\bi\s+)?doubt(?:\s+(?:that|if|whether))?'
    r'|(?:doubtful|unlikely|improbable|questionable)\s+(?:that|if|whether)'
    r'|free\s+(?:of|from)'
    r'|rather\s+than|instead\s+of|as\s+opposed\s+to|unlike|anything\s+but|far\s+from'
    r'|(?:in|by|as\s+a)\s+contrast\s+(?:to|with)|(?<=^)in\s+comparison\s+(?:to|with)'
    r'|contrary\s+(?:to|of)|differ(?:s|ing|ent)?\s+from'
    r'|distinct\s+from|(?:as\s+)?distinguished\s+from|distinguish(?:es|ing)\s+(?:it\s+|this\s+)?from'
    r'|in\s+distinction\s+(?:to|from)|(?:confused|mistaken)\s+(?:with|for)'
    r'|opposite\s+of|rul(?:es?|ing)\s+out'
    r'|(?<!\bis\s)(?<!\bwas\s)(?<!\bbe\s)(?<!\bare\s)(?<!\bwere\s)(?<!\bbeen\s)ruled\s+out'
    r'|exclud(?:es?|ing)'
    r'|unaccompanied\s+by|bereft\s+of|(?:insufficient|scant|not\s+enough)\s+evidence\s+(?:of|for)'
    r'|(?:argu|speak|count|point)(?:e?s|ing)?\s+against|preclud(?:es?|ing)|contradict(?:s|ing)?'
    r'|(?:inconsistent|incompatible)\s+with|no\s+room\s+for'
    r'|(?:absent|inactive|missing)(?=\s*(?::|AUs?\s?\d|AUs?\b|action|are))'
    r'|minus|sans'
)
_VERB_NEGATOR = (
    r"not|never|none|nothing|cannot|hardly|barely|scarcely|\w+n['’]t|no\s+longer"
    r'|by\s+no\s+means|wo?nt|isnt|doesnt'
    r'|arent|fail(?:s|ed|ing)?\s+to|less(?=(?:\s+\w+){1,4}\s+than\b)'
)
_NEGATOR = re.compile(
    rf'\b(?:(?P<verb>{_VERB_NEGATOR})|(?P<noun>{_NOUN_NEGATOR}))(?!\w)', re.IGNORECASE
)
_RESULT = re.compile(r':|,\s*(?:namely|so|hence|thus|i\.e\.|that\s+is|in\s+other\s+words)\b', re.I)
_RESULT_CLAUSE = re.compile(r':\s(?=(?:it|he|she|they|this|that)\b)', re.I)
# 'AU12, however, is not': what stands between commas parts no subject from its verb.
_PARENTHESIS = re.compile(
    r',\s(?:however|though|on\s+the\s+other\s+hand|in\s+contrast|by\s+contrast|meanwhile|in\s+turn|instead|for\s+its\s+part|I\s+think)\s?,'
    r'|\s(?:however|though)\s(?=(?:is|are|was|were|does|do|has|have)\b)',
    re.I,
)
_APPOSITION = re.compile(
    r',\s(?:typically|usually|often|normally|commonly|generally|known|associated)\s[^,;.:\d]{1,80},'
    r'(?=\s(?:is|are|was|were|does|do|has|have|seems?|appears?|remains?|can|could|cannot)\b)',
    re.I,
)
_COMPARING = re.compile(
    r'opposite|reverse|antithesis|unlike|instead|rather|as\s|in\s|contrary|differ|distinct|far\s|anything|by\s'
    r'|neither|nor',
    re.I,
)
# These hold a negator and deny nothing.
_AFFIRMING = re.compile(
    r"\bnot\s+(?:all|every|each)\b|\b(?:not|\w{2,9}n['’]t)\s+(?:only|just|merely|simply|solely)\b"
    r'|\bnot\s+(?:only|just|merely|simply|solely|without|surprisingly|to\s+mention)\b'
    rf'|\bnot\s+(?:{tables.DEGREES})\b(?!\s+enough)'
    r"|\b\w{2,9}n['’]t\s+(?:as|so|very|too|particularly|fully|entirely|especially)\s+\w+\b"
    r'|\bnot\s+(?:as|so(?!\s+much)|nearly\s+as|very|too|particularly|fully|entirely'
    r'|especially)\s+\w+(?:\s+as)?\b'
    r"|\bif\s+it\s+(?:weren['’]t|wasn['’]t|were\s+not|was\s+not)\s+for\b"
    r'|\bif\s+not\b|\bwhy\s+not\b'
    r"|\b(?:(?:is|are|was|were)\s+not|not|\w{2,9}n['’]t)\s+(?:\w{2,12}ly\s+)?(?:absent|inactive|missing|lacking|unlikely|without|in\s+doubt)\b"
    r'|\b(?:no|without)\s+(?:lack|absence|shortage|denying|mistaking|doubting|doubts?|way\s+around)\b(?:\s+of\b)?'
    r'|\bno\s+(?:doubt|question|less)\b|\bwithout\s+(?:a|any)\s+(?:doubt|question)\b'
    r'|\b(?:nothing|none)\s+(?:but|other\s+than|short\s+of)\b'
    r"|\b(?:cannot|can\s+not|can['’]t)\s+(?:help\s+but|be\s+(?:missed|overlooked|ignored|denied"
    r'|certain|sure|ruled\s+out|excluded|dismissed))\b'
    r'|\bmay\s+or\s+may\s+not\b',
    re.IGNORECASE,
)

PRESENT = (
    r'(?:present|active|activated|visible|seen|shown|engaged|evident|apparent|observed|observable'
    r'|detected|detectable|noticeable|noticed|discernible|displayed|involved|exhibited|found|among'
    r'|included|triggered|recruited|there|in\s+play|at\s+play|at\s+work|clear|obvious|prominent'
    r'|contracted|identified|perceptible|recogni[sz]able|distinguishable|confirmed|indicated'
    r'|expressed|coded|marked|happening|occurring|firing|fired|used|employed|needed'
    r'|required|necessary|warranted|genuine|real|sincere)'
)
_BE = (
    r'(?:is|are|was|were|being|seems?|appears?|looks?|remains?|can|could|does|do|did|has'
    r'|have|be|been|stays?)'
)
_FILLER = (
    r'(?:be|been|being|to|appear|seem|look|at|all|very|that|any|in|quite|rather|really|much'
    r'|\w{2,20}ly)'
)
# 'AU2 does not join in', 'I would not code it'.
_TAKES_PART = (
    r'(?:join(?:ed|ing)?(?:\s+in)?|tak(?:e|ing|en)\s+part|participat\w+|contribut\w+|com(?:e|ing)\s+into\s+play'
    r'|apply|applies|exist|hold|reach\w*|meet|qualif\w+|kick\w*\s+in|engag\w+|mov(?:e|ed|ing)|trigger\w*|regist\w+'
    r'|manifest|emerge|materiali[sz]e|play\s+(?:a|any)\s+(?:role|part)|change[ds]?|activat(?:e|ed|ing)|respond\w*)'
)
_CODE_IT = (
    r'(?:code|count|score|mark|include|label|list|consider|rate|annotate)\s+'
    r'(?:it|them|this|that|these|those)'
)
# 'AU6 is borderline and I would not code it', 'AU6 seemed active, but it is not.'
_NOT_THAT = re.compile(
    rf"\b(?:(?:would|do|will|can|could|did)(?:\s+not|n['’]t)\s+{_CODE_IT}\b"
    rf'|(?:but|yet|though)\s+(?:is|are|was|were|has|have|does|do)\s+(?:now\s+|then\s+)?(?:gone|absent|missing|disappeared'
    rf'|vanished|faded|relaxed|not(?:\s+{PRESENT})?)(?=\s*(?:$|[,;.)]|now\b))'
    r"|(?:but|yet|though)\s+(?:is|are|was|were|does|do)n['’]t(?=\s*(?:$|[,;.)]))"
    r"|(?:it|this|they)\s+(?:is|was|are|were|does|do|did)(?:\s+not|n['’]t)(?:\s+(?:\w{2,20}ly|actually))?"
    rf'(?:\s+{PRESENT})?(?=\s*(?:$|[,;.)])))',
    re.I,
)
_UNITS = (
    r'(?:(?:the|only|AUs?|action\s+units?)\s+){0,3}(?:AUs?[\s_#-]?)?\d{1,3}(?:\s?\([^()]{0,60}\))?'
    r'(?:\s*(?:,\s?and\b|,|\band\b|\bor\b|&|/|\+)\s*(?:AUs?[\s_#-]?)?\d{1,3}(?:\s?\([^()]{0,60}\))?){0,12}'
)
_EXCEPTED = re.compile(
    r'\b(?:except(?:ing)?(?:\s+(?:for|of|from))?|apart\s+from|aside\s+from|other\s+than|besides|save(?:\s+for)?'
    r'|with\s+the\s+exception\s+of|(?:all|every|none|no|nothing|everything|any)(?:\s+(?:of|the|listed|other|aus?|action|units?)){0,4}\s+but)'
    rf'\s+(?P<units>{_UNITS})',
    re.I,
)
_WITH_ABSENT = re.compile(
    rf'\bwith\s+(?P<units>{_UNITS})\s+(?:being\s+)?(?:absent|inactive|missing|uninvolved|silent|at\s+rest|off)\b',
    re.I,
)
_ALL = re.compile(r'\b(?:all|every|each|everything)\b', re.I)
_UNSAID = r'(?=\s*(?:$|[,;.)\]}]|(?:while|whereas|but|and|nor)\b))'
_FEW = rf'(?:\s+{_FILLER}){{0,5}}'
# Each denies its subject; 'head' is where the subject ends.
_DENYING_TAILS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf'\b{_BE}{_FEW}\s+(?:absent|missing|lacking|inactive|unlikely|excluded|undetected'
        r'|ruled\s+out|none|gone|impossible|negligible|non-?existent|out\s+of\s+(?:play|the\s+question|sight)|improbable|doubtful|contradicted|refuted|off|less\s+(?:likely|probable|plausible)|unclear'
        r'|questionable|at\s+rest|silent|quiet|idle|dormant|passive|unchanged|nowhere|uninvolved|unaffected'
        r'|at\s+(?:the\s+)?baseline|at\s+zero|in\s+doubt|below\s+threshold|unmoved)\b',
        rf"\b(?:(?:{_BE}\s+)?(?:not|never)|cannot|\w{{2,9}}n['’]t){_FEW}\s+{PRESENT}\b",
        rf"\b(?:{_BE}(?:\s+\w{{2,20}}ly)?\s+not|cannot|\w{{2,9}}n['’]t){_UNSAID}",
        rf"\b(?:not|never|\w{{2,9}}n['’]t|fails?\s+to)\s+(?:appears?|occurs?|acts?|activates?|fire"
        rf'|show(?:\s+up)?){_UNSAID}',
        r"\b(?:cannot|can\s+not|can't|couldn't|could\s+not)\s+be\s+(?:\w+ly\s+)?\w+",
        rf"\b(?:(?:do|does|did|has|have|is|was)\s+not|never|\w{{2,9}}n['’]t)\s+(?:\w{{2,20}}ly\s+)?{_TAKES_PART}\b",
        r'\b(?:shows?|has|have|exhibits?|displays?)\s+no\s+(?:\w+\s+)?(?:activation|activity'
        r'|movement|contraction|intensity|change|sign|trace|involvement|increase|effect|evidence)\b',
        r'\bis\s+out(?=\s*(?:$|[,;.)]))',
        r'\btoo\s+(?:weak|faint|subtle|small|slight|little|low|minor)\s+(?:to|for)\s+(?:be\s+)?\w+(?!\s+(?:out|off)\b)',
        r"\b(?:not|\w{2,9}n['’]t)\s+(?:\w+\s+){1,3}enough\s+(?:to|for)\s+(?:be\s+|a\s+)?(?:cod|scor|count|qualif|mark|regist|call|list|includ|constitut)\w*",
        rf'\b(?:(?:most|very|quite)\s+)?(?:probabl|likel|certainl|definitel|clearl|presumabl|apparentl|obviousl)y\s+not{_UNSAID}',
        r'\b(?:minimal|negligible|weak|faint|slight|trace)\s+or\s+(?:absent|non-?existent|none)\b',
        r'\b(?:\w+\s+)?to\s+(?:absent|non-?existent|none|nil|zero)\b',
        r'\bnot\s+the\s+case\b',
        r'\b(?:barely|hardly|scarcely|minimally|only),?\s+if\s+at\s+all\b',
        rf'(?<=[:=(\s])(?:no|none|absent|inactive|missing|false|0(?!\.\d)){_UNSAID}',
    )
)
_CODE = re.compile(r'\bAUs?\s?\d', re.I)
_WORD = re.compile(r'[A-Za-z]+')
_NEW_SUBJECT = re.compile(
    r'(?P<code>\bAUs?\s?\d{1,2}(?:\s?\([^()]{0,60}\))?)\s+(?:the|this|it|he|she|they|there|I|we)\s',
    re.I,
)
_RUN = re.compile(
    r'(?:\bAUs?\s?\d{1,2}(?:\s?\([^()]{0,60}\))?\s?,\s?){0,8}\bAUs?\s?\d{1,2}(?:\s?\([^()]{0,60}\))?,?\s(?:and|or|nor)\s?$',
    re.I,
)
_LONGEST_RUN = 200
_LISTED = re.compile(
    r'\W*(?:(?:and|or|both|either|the|also|action|units?|aus?)\W+){0,4}(?:AUs?\W?)?\d{1,3}[A-E]?'
    r'(?:\W*\([^()]{0,60}\))?(?:\W*(?:and|or|/|&|\+)?\W*(?:AUs?\W?)?\d{1,3}){0,9}\W*',
    re.I,
)
# 'AU26 is missing, AU25 is not': the second is there.
_SHORT_DENIAL = re.compile(rf"(?:{_BE}\s+not|cannot|\w{{2,9}}n['’]t)\Z", re.I)
_ABSENCE = re.compile(
    r'\b(?:absent|missing|inactive|lacking|(?:ruled|left)\s+out|excluded|dismissed)\b\W+(?:\w+\W+){1,4}\Z',
    re.I,
)
_WEIGHED = re.compile(
    r'\b(?:considered|suspected|expected|examined|checked|evaluated|anticipated'
    r'|looked\s+for)\s*,?\s*'
    r'(?:but|yet|and)\s+(?:was\s+|is\s+|were\s+|are\s+)?(?:not|never|rejected|dismissed'
    r'|discarded|ruled\s+out)\b',
    re.I,
)
# Not knowing whether is not saying that.
_IGNORANCE = re.compile(
    r"\b(?:(?:can(?:not|\s+not|['’]?t)|could\s*n[o'’]t|unable\s+to|not\s+able\s+to|impossible\s+to"
    r'|difficult\s+to|hard\s+to|not\s+possible\s+to|tough\s+to)\s+(?:\w+ly\s+)?(?:determine'
    r'|tell|say'
    r'|know|judge|decide|assess|see|confirm|identify|verify|establish|distinguish|ascertain'
    r'|be\s+sure)'
    r"|(?:un(?:clear|certain|sure|known)|not\s+(?:sure|clear|certain)|\w+n['’]t\s+(?:sure"
    r'|clear|know))'
    r')(?:\s+(?:if|whether|about|which|what|that|how|of|for)\b)?',
    re.IGNORECASE,
)
_UNABLE = re.compile(r'unable|not able|determine|identify', re.I)
_WHETHER = re.compile(r'(?:if|whether|about|which|what|of|for)\Z', re.IGNORECASE)
_STOP = re.compile(
    r'[;:—–]|\.\s|,\s*(?:but|yet|so|and|though|although|while|however)\b|\b(?:but|however'
    r'|yet|though)\b',
    re.I,
)
# 'None of AU6, AU12 or AU25', 'neither AU1, AU2 nor AU4': the list is denied to its end.
_LIST = re.compile(
    r'\b(?:none\s+of|neither|not\s+(?:one|any|a\s+single\s+one)\s+of)\s+'
    r'(?:(?:the|these|following|listed|aus?|action|units?|either|visible)[\s:(]{1,3}){0,6}'
    r'(?:(?:AUs?|action\s+units?)?[\s_#:-]{0,2}\d{1,3}(?:\s*\([^()]{0,60}\))?'
    r'(?:\s*,?\s*(?:and|or|nor|/|&)\s+|\s*[,/&+]\s*|(?=\W*$|\W*\s[a-z(])))+',
    re.IGNORECASE,
)


def denied_spans(statement: str) -> list[Span]:
    """Parts of one statement that it denies, or of which it says that they cannot be known.

    Returns:
      Spans in the order of the text, which do not touch.
    """
    statement = statement.replace(' - ', ' — ')  # A dash ends a clause; a hyphen does not.
    statement = _PARENTHESIS.sub(lambda aside: ' ' * len(aside[0]), statement)
    statement = _APPOSITION.sub(lambda aside: ' ' * len(aside[0]), statement)
    statement = _RESULT_CLAUSE.sub('; ', statement)
    words = scopes.Words.of(statement)
    affirming = merged(found.span() for found in _AFFIRMING.finditer(statement))
    spans = ignorant_spans(statement)
    spans += [found.span() for found in _LIST.finditer(statement)]
    for found in _NEGATOR.finditer(statement):
        if not is_denied(found.start(), affirming):
            end = scopes.scope_end(words, found)
            stop = words.spans[end - 1][1] if end else found.end()
            if _COMPARING.match(found[0]) or _names(statement[found.end() : stop]):
                # 'The opposite of joy: sadness', 'Not sad, not angry: neutral.'
                result = _RESULT.search(statement, found.end(), stop)
                stop = result.start() if result else stop
            spans.append((found.start(), _stop(statement, found, stop)))
    for pattern in _DENYING_TAILS:
        for found in pattern.finditer(statement):
            if (
                not _meets(found.span(), affirming)
                and not _denies_absence(statement, found)
                and found[0][:5].lower() != 'being'
            ):
                spans.append((_subject_start(statement, words, found.start()), found.end()))
    spans += [found.span() for found in _WITH_ABSENT.finditer(statement)]
    codes = [code.start() for code in _CODE.finditer(statement)]
    for found in _NOT_THAT.finditer(statement):
        last = bisect.bisect_left(codes, found.start())
        if last:
            spans.append((codes[last - 1], found.end()))
    for found in _WEIGHED.finditer(statement):
        spans.append((scopes.subject_start(statement, words, found.start()), found.end()))
    return _without_exceptions(statement, merged(spans))


def _without_exceptions(statement: str, spans: list[Span]) -> list[Span]:
    """What is denied, but for 'all AUs except AU12 are inactive'; 'all except AU4' denies AU4."""
    excepted = merged(found.span('units') for found in _EXCEPTED.finditer(statement))
    if not excepted:
        return spans
    if not spans:
        return excepted if _ALL.search(statement) else []
    kept: list[Span] = []
    i = 0
    for first, last in spans:
        while i < len(excepted) and excepted[i][1] <= first:
            i += 1
        j = i
        while j < len(excepted) and excepted[j][0] < last:
            kept.append((first, excepted[j][0]))
            first = excepted[j][1]
            j += 1
        kept.append((first, last))
        i = max(i, j - 1)
    return [(first, last) for first, last in kept if first < last]


def _names(denied: str) -> bool:
    """Whether what is denied has its object before a colon: 'no anger: …', but 'not seen: AU4'."""
    head, colon, _ = denied.partition(':')
    return bool(colon) and (
        _CODE.search(head) is not None
        or any(word.lower() in tables.EMOTION_WORDS for word in _WORD.findall(head))
    )


def _stop(statement: str, negator: re.Match[str], stop: int) -> int:
    """Where a negator's reach ends: 'Without AU6 the smile (AU12) …' speaks of AU12 anew."""
    if not negator['noun']:
        return stop
    begins = _NEW_SUBJECT.search(statement, negator.end(), stop)
    return begins.end('code') if begins else stop


def _subject_start(statement: str, words: scopes.Words, head: int) -> int:
    """Where the subject starts of a predicate at `head`: codes of an earlier clause are none of it.

    In 'AU4 fires, AU9 does not' it is AU9; in 'AU4, AU9 are not seen' both.
    """
    start = _joined(statement, scopes.subject_start(statement, words, head))
    colon = statement.rfind(': ', start, head)
    if colon >= 0 and _CODE.search(statement, colon, head):
        start = colon + 1
    comma = statement.rfind(',', start, head)
    while comma >= 0:
        begin = max(start, statement.rfind(',', start, comma) + 1)
        part = statement[begin:comma]
        code = _CODE.search(part)
        if code and not _LISTED.fullmatch(part, code.start()):
            return comma + 1
        comma = begin - 1 if begin > start else -1
    return start


def _joined(statement: str, start: int) -> int:
    """`start`, or where the units begin that 'and' joins to the one there: 'AU25 and AU26'."""
    if not _CODE.match(statement, start + (statement[start : start + 1] == ' ')):
        return start
    begin = max(0, start - _LONGEST_RUN)
    run = _RUN.search(statement[begin:start])
    return begin + run.start() if run else start


def _denies_absence(statement: str, tail: re.Match[str]) -> bool:
    """Whether a short denial ('…, AU25 is not') answers a statement of absence."""
    before = statement[max(0, tail.start() - 60) : tail.start()]
    return _SHORT_DENIAL.match(tail[0]) is not None and _ABSENCE.search(before) is not None


def ignorant_spans(statement: str) -> list[Span]:
    """Parts of a statement about which it says that nothing can be known."""
    spans = []
    for found in _IGNORANCE.finditer(statement):
        if _WHETHER.search(found[0]) or _UNABLE.search(found[0]):
            stop = _STOP.search(statement, found.end())
            spans.append((found.start(), stop.start() if stop else len(statement)))
            if not stop:
                break
    return merged(spans)


def is_denied(position: int, spans: list[Span]) -> bool:
    """Whether the character at `position` stands in one of `spans`, ordered and apart."""
    i = bisect.bisect_right(spans, (position, sys.maxsize)) - 1
    return i >= 0 and position < spans[i][1]


def _meets(span: Span, spans: list[Span]) -> bool:
    """Whether `span` begins in one of `spans`, or one of them begins in it."""
    i = bisect.bisect_left(spans, span)
    return is_denied(span[0], spans) or (i < len(spans) and spans[i][0] < span[1])


def merged(spans: Iterable[Span]) -> list[Span]:
    """`spans` in order, those that meet as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
