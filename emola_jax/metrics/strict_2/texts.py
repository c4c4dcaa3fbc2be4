"""An answer made plain: what was thought aloud goes, mark-up becomes lines, spellings become one.

Everything here is linear in the length of the answer.
"""

from __future__ import annotations

import itertools
import re
import unicodedata

from emola_jax.metrics.strict_2 import verdicts

_THOUGHT = re.compile(
    r'</(?:think|thinking|thought|thoughts|reasoning|reflection)\s*>|◁/think▷', re.I
)
_THINKING = re.compile(
    r'<(?:think|thinking|thought|thoughts|reasoning|reflection)\s*>|◁think▷', re.I
)
_ANSWER = re.compile(r'<(?:answer|final_answer|final|output)\s*>([^<]*(?:<(?!/)[^<]*)*)', re.I)
_BOXED = re.compile(r'\\boxed\s*\{([^{}]{0,200}|\\text\s*\{[^{}]{0,200}\})\}')
_TEX = re.compile(r'\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]{0,200})\}')

_LINE_TAG = re.compile(
    r'<br\s*/?>|</?(?:p|li|tr|ul|ol|div|h[1-6]|table|thead|tbody|dl|dt)\b[^<>]{0,200}>', re.I
)
_CELL_TAG = re.compile(r'<(?:td|th|dd)\b[^<>]{0,200}>', re.I)
_PLAIN_TAG = re.compile(
    r'</?(?:b|i|u|s|em|strong|span|code|sub|sup|small|font|mark|a|td|th|dd|pre|html'
    r'|body)\b[^<>]{0,200}>',
    re.I,
)
_ELEMENT = re.compile(
    r'<(?P<name>\w{1,40})(?P<attributes>\s[^<>]{0,100})?>(?P<content>[^<>]{0,300})</(?P=name)>'
)
_EMPTY = re.compile(
    r'<(?P<name>\w{1,40})(?P<attributes>(?:\s+\w{1,20}=["\'][^"\'<>]{0,60}["\']){0,6})\s*/>'
)
_ATTRIBUTE = re.compile(r'(?P<key>\w+)=["\'](?P<value>[^"\'<>]*)["\']')
_IDENTIFIES = re.compile(r'id|code|number|num|name|unit|au|n', re.I)
# '●●●○○' is 3/5.
_GAUGE = re.compile(r'(?P<full>[●★⭐■█▮⬤]{0,10})(?P<empty>[○☆□░▯◯]{0,10})')
_OTHER_TAG = re.compile(r'</?[A-Za-z_][^<>]{0,100}>')

_YES, _NO = '✓', '✗'
_MARKS = {
    **dict.fromkeys('✅✔☑🗹👍🟢', f' {_YES} '),
    **dict.fromkeys('❌✘✖☒🚫❎👎🔴☐⬜◻□❏✕', f' {_NO} '),
    _YES: f' {_YES} ',
    _NO: f' {_NO} ',
    **dict.fromkeys('■▣', f' {_YES} '),
}
_PLAIN = {
    **dict.fromkeys('’‘', "'"),
    **dict.fromkeys('“”「」《》', '"'),
    **dict.fromkeys('−‑‐', '-'),
    **dict.fromkeys('→⇒➜➔', ': '),
    **dict.fromkeys('\r\v\f\u0085\u2028\u2029', '\n'),
    **{'。': '. ', '、': ', ', '．': '.', '【': '[', '】': ']', '\u00a0': ' '},
}
_PLAIN_CHARACTERS = str.maketrans(_PLAIN)
_CHARACTERS = str.maketrans({**_MARKS, **_PLAIN})
_BLANKS = re.compile(r'([ \t\n])\1{4,}')
_ARROW = re.compile(r'\s*(?:[-=]{1,2}>|\.{4,}|…{2,})\s*')

_MARK = re.compile(r'[ \t]*([✓✗])[ \t]*')
_BOX = re.compile(
    r'(?:^(?P<bullet>[ \t]*(?:[-*+•][ \t]+'
    r'|\d{1,2}[.)][ \t]+)?)(?=\[[^\[\]]*\][ \t]*[A-Za-z])|(?<=\w )|(?<=\) ))'
    r'\[(?:(?P<set>[ \t]*[xX✓*][ \t]*)|[ \t]*✗?[ \t]*)\](?=[ \t]*(?:[A-Za-z]|[,;.\n]|$))',
    re.M,
)
_ROUND_BOX = re.compile(
    r'^(?P<bullet>[ \t]*(?:[-*+•][ \t]+)?)\((?:(?P<set>[xX✓])|[ ]?)\)(?=[ \t]*[A-Za-z])', re.M
)
_BULLET = re.compile(
    r'^\s*(?:(?:[-*•●▪◦‣·–—>+]|#+|\(?\d{1,2}[.)]|\(?[a-zA-Z][.)])\s+)+(?=\S)'
    r'|^\s*[-*•●▪◦‣·–—]\s*(?=\*\*|__|`)'
)
_INLINE_BULLET = re.compile(r'(?<=\s)[•●▪◦‣]\s+')
_HEADING = re.compile(r'^\s*#+\s+(?P<head>.+?)\s*#*\s*$')
_STRONG_LINE = re.compile(r'^\s*(?:\*\*|__)(?P<head>[^*_|]{1,80})(?:\*\*|__)\s*$')
_EMPHASIS = re.compile(r'\*+|`+|~~|__+|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)')
_FENCE = re.compile(r'^\s*(?:```|~~~).*$')
_SPELLED = (
    (re.compile(r'(?<![A-Za-z])A\.\s?U\.(?=\s{0,5}\d)', re.I), 'AU'),
    (re.compile(r'\s?(?:>=?|≥)\s?(?:the\s)?(?:threshold|cut-?off)\b', re.I), ': present'),
    (re.compile(r'\s?(?:<=?|≤)\s?(?:the\s)?(?:threshold|cut-?off)\b', re.I), ': absent'),
    (re.compile(r'[ \t]?\.{3}[ \t]?(?=\w{2,12}[ \t]*$)', re.M), ': '),
    (re.compile(r'\b(?:no\.|number|nr\.)\s{0,5}(?=\d)', re.I), ''),
)
# 'AUs: 6 (0.9), 12 (0.95)' gives every number the word.
_VALUED = re.compile(
    r'(?P<head>\b(?:AUs|action units)\b[^.\n:;,\d]{0,40}:?\s{0,3})'
    r'(?P<list>\d{1,2}\s?\([^()\n]{1,40}\)(?:\s?(?:[,;]|\band\b)(?:\s?and\b)?\s?\d{1,2}\s?\([^()\n]{1,40}\)){1,30})',
    re.I,
)
_VALUED_UNIT = re.compile(r'\d{1,2}(?=\s?\()')
# '0,85' of a decimal comma: 'AU4: 0,85', '87,5 %'; the columns of '1,0,1' stay.
_DECIMAL_COMMAS = (
    re.compile(r'(?<![\d,.])(\d{1,3}),(\d{1,3})(?=\s?%)'),
    re.compile(r'(?<![\d,.])(0),(\d{2,6})(?![\d,])'),
    re.compile(r'(\bAU[ _]?\d{1,2}\b[^\d\n:=]{0,40}[:=][ \t]?\d),(\d{1,6})(?![\d,])', re.I),
)
_SIGNED = re.compile(r'(?:^|(?<=[\s,;(]))\s?([-+])\s?(?=AUs?[ _]?\d)', re.I)
_UNIT = re.compile(r'\bAUs?[ _]?\d', re.I)
_UNDERLINE = re.compile(r'\s*(?:-{3,}|={3,})\s*')
_ITEM = re.compile(
    r'\s*(?:[-*•●▪◦‣·–—#>|+✓✗\[]|\(?\d{1,2}[.)]\s|\(?[a-zA-Z][.)]\s|AUs?[\s_#:-]*\d'
    r'|(?:[\w*]+ ){0,3}[\w*]+(?:\s?[:=]|\s[-–—]\s))',
    re.I,
)
_TERMINAL = ('.', '!', '?', ':', ';', '|', '."', '.)')
_NARROWEST = 40


def answered(text: str) -> str:
    """The part of `text` that is the answer: behind the thoughts, in the answer's own tags."""
    ends = list(_THOUGHT.finditer(text))
    if ends:
        text = text[ends[-1].end() :]
    elif begins := _THINKING.search(text):
        text = text[: begins.start()]  # Cut off while it still thought: it never answered.
    tagged = [found[1] for found in _ANSWER.finditer(text) if found[1].strip()]
    if tagged:
        return tagged[-1]
    boxed = _BOXED.findall(_TEX.sub(r'\1', text))
    return boxed[-1] if boxed and boxed[-1].strip() else text


def plain(text: str) -> str:
    """`text` in one spelling: NFKC, plain quotes, one pair of check marks, no tags of HTML."""
    text = _GAUGE.sub(_gauge, text)
    text = unicodedata.normalize('NFKC', text.translate(_CHARACTERS)).translate(_PLAIN_CHARACTERS)
    text = ''.join(
        c for c in text if c in '\n\t' or unicodedata.category(c) not in ('Cf', 'Cc', 'Mn')
    )
    text = _BLANKS.sub(lambda run: run[1] * 4, text)
    text = _ROUND_BOX.sub(_mark, _BOX.sub(_mark, _MARK.sub(r' \1 ', text)))
    text = _LINE_TAG.sub('\n', text)
    text = _PLAIN_TAG.sub('', _CELL_TAG.sub(' | ', text))
    text = _BLANKS.sub(lambda run: run[1] * 4, text)
    text = _ELEMENT.sub(lambda tag: f'{_titled(tag)}: {tag["content"]}\n', text)
    text = _EMPTY.sub(lambda tag: f'{_titled(tag)}\n', text)
    text = _ARROW.sub(': ', _OTHER_TAG.sub(' ', text))
    for pattern, spelling in _SPELLED:
        text = pattern.sub(spelling, text)
    for comma in _DECIMAL_COMMAS:
        text = comma.sub(r'\1.\2', text)
    return _VALUED.sub(lambda run: run['head'] + _VALUED_UNIT.sub(r'AU\g<0>', run['list']), text)


def _gauge(run: re.Match[str]) -> str:
    full, whole = len(run['full']), len(run[0])
    return f' {full}/{whole} ' if whole > 2 else run[0]


def _titled(tag: re.Match[str]) -> str:
    """The name of a tag with its attributes: 'au 4' of <au id="4">, or 'au 4 active: no'."""
    parts = [tag['name']]
    for attribute in _ATTRIBUTE.finditer(tag['attributes'] or ''):
        key, value = attribute['key'], attribute['value']
        parts.append(value if _IDENTIFIES.fullmatch(key) else f'{key}: {value}')
    return ' '.join(parts)


def lines(text: str) -> list[str]:
    """Lines of a plain text, each a statement or more: bullets, emphasis and hard wraps go.

    A heading, and a line in bold, end with a colon. An empty line stays, as ''.
    """
    found: list[str] = []
    for block in _unwrapped(_signed(_underlined(text.split('\n')))):
        for line in _INLINE_BULLET.sub('\n', block).split('\n'):
            if not _FENCE.match(line):
                found.append(_line(line))
    return found


def _line(line: str) -> str:
    head = _HEADING.match(line) or _STRONG_LINE.match(line)
    if head:
        inner = _bare(head['head'])
        return inner if inner.endswith((':', '.', '!')) else f'{inner}:'
    return _bare(_BULLET.sub('', line))


def _bare(text: str) -> str:
    return ' '.join(_BULLET.sub('', _EMPHASIS.sub('', text)).split())


def _mark(box: re.Match[str]) -> str:
    return f'{box["bullet"] or ""}{_YES if box["set"] else _NO} '


def _underlined(rows: list[str]) -> list[str]:
    """Headings that are underlined, as headings with '#'."""
    found: list[str] = []
    for row in rows:
        if _UNDERLINE.fullmatch(row) and found and found[-1].strip() and '|' not in found[-1]:
            found[-1] = f'# {found[-1].strip()}'
        else:
            found.append(row)
    return found


def _signed(rows: list[str]) -> list[str]:
    """'+AU6', '-AU4' are marks where a text has both, and signs no unit without one."""
    signs = [sign[1] for row in rows for sign in _SIGNED.finditer(row)]
    units = sum(len(_UNIT.findall(row)) for row in rows)
    if set(signs) < {'-', '+'} or ('+' not in signs) or '-' not in signs:
        return rows
    alone = all(_SIGNED.match(row) for row in rows if _UNIT.search(row))
    if not alone and len(signs) != units:
        return rows
    return [_SIGNED.sub(lambda sign: f' {_YES if sign[1] == "+" else _NO} ', row) for row in rows]


def _unwrapped(rows: list[str]) -> list[str]:
    """Joins the lines of paragraphs that were wrapped at a width.

    A paragraph was wrapped where no line had room for the first word of the next one.
    """
    found: list[str] = []
    paragraph: list[str] = []
    for row in [*rows, '']:
        if row.strip():
            paragraph.append(row)
            continue
        found += _joined(paragraph) if _is_wrapped(paragraph) else paragraph
        found.append('')
        paragraph = []
    return found[:-1] if found else found


def _is_wrapped(paragraph: list[str]) -> bool:
    if len(paragraph) < 2:
        return False
    width = max(map(len, paragraph))
    if width < _NARROWEST or max(len(row.rstrip()) for row in paragraph[:-1]) < _NARROWEST:
        return False
    return all(
        len(row.rstrip()) + 1 + len(after.split(None, 1)[0]) > width
        for row, after in itertools.pairwise(paragraph)
        if not _ITEM.match(after)
    )


def _joined(paragraph: list[str]) -> list[str]:
    found = [paragraph[0]]
    for row in paragraph[1:]:
        within = found[-1].count('**') % 2  # An emphasis that goes on in the next line.
        if not within and (_ITEM.match(row) or found[-1].rstrip().endswith(_TERMINAL)):
            found.append(row)
        else:
            found[-1] = f'{found[-1].rstrip()} {row.lstrip()}'
    return found


_END = re.compile(r'(?P<mark>[.!?]+)(?=["\')\]]*(?:\s|$))|;')
_ABBREVIATED = re.compile(
    r'(?:\be\.g|\bi\.e|\bvs|\bcf|\betc|\bDr|\bMr|\bMs|\bFig|^\W*\d{1,2})$', re.I
)
_ASKS = re.compile(
    r'(?:is|are|was|were|do|does|did|can|could|would|what|which|who|how|why|where)\b', re.I
)
_EITHER = re.compile(r'\bor\b|/', re.I)
_REPLY = re.compile(r'\s*(?:(?:A|Answer)\s?:\s*)?([^.,!?;:\n]{1,30})(?:[.,!;]|$)\s*')


def statements(line: str) -> list[str]:
    """Sentences of a line; a question goes, or becomes 'question: yes' with the reply to it."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(line):
        if end.start() < start:
            continue
        part, mark = line[start : end.start()].strip(), end['mark'] or ''
        if mark == '.' and _ABBREVIATED.search(part[-8:]):
            continue
        start = end.end()
        if '?' in mark:
            reply = _REPLY.match(line, start)
            verdict = verdicts.of_text(reply[1]) if reply else None
            if reply and verdict is not None:
                start = reply.end()
                found.append(f'{part}: {"yes" if verdict else "no"}')
                continue
            if _ASKS.match(part) or _EITHER.search(part) or line[start:].strip():
                continue
        found.append(part)
    found.append(line[start:].strip())
    return [part for part in found if part.strip(' "\')]')]
