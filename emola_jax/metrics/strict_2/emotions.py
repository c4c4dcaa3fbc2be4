"""Version 2 of the strict reading of emotions: structure first, then conclusions over mentions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from emola_jax.metrics.strict_2 import conclusions, layout, shares, structured, tables, texts

_FINAL = re.compile(
    r'(?:^|\n)[ \t*_#>]{0,9}(?:final\s+|my\s+|the\s+)?(?:answer|verdict'
    r'|decision)\b[\s*_]{0,4}(?:is\b\s?)?:[\s*_]{0,9}(?=\S)'
    r'|\bfinal\s+(?:answer|verdict|label|emotion|prediction|decision)\b[^\n:.]{0,30}(?::|\bis\b)'
    r'|\bthe\s+(?:correct\s+)?answer\s+(?:is\b|would\s+be\b|:)\s*:?',
    re.I,
)
_MISSPELT = sorted(
    word for word, (_, strength) in tables.EMOTION_WORDS.items() if strength == 2 and len(word) >= 5
)
_LETTERS = re.compile(r'[A-Za-z]{5,14}')
_LETTER = re.compile(r'[^\W\d_]')
_MOST_WORDS = 300
_OPTION = re.compile(
    r'(?:^|(?<=[\s(]))(?P<letter>[A-Ga-g])[).:]\s?(?P<word>[A-Za-z]{3,12})\b', re.M
)
_CHOICE = re.compile(
    r'\b(?i:answer|choice|option)\b(?:\s+is)?\s?:?\s?\(?(?P<letter>[A-G])\)?[.\s]*$'
)


def read(answer: str) -> int | None:
    """Label 0..6 of the emotion that an answer affirms, or None."""
    text = texts.plain(texts.answered(answer))
    final = list(_FINAL.finditer(text))
    if final and (label := _of_text(text[final[-1].end() :])) is not None:
        return label
    if (label := _of_letter(text)) is not None:
        return label
    label = _of_text(text)
    if label is None and not _LETTER.search(text):
        return _of_emoji(answer)
    return label if label is not None or conclusions.has_word(text) else _of_misspelt(text)


def _of_text(text: str) -> int | None:
    values, rest = structured.find(text)
    for value in values:
        if (label := shares.in_object(value, _of_prose)) is not None:
            return label
    return _of_prose(rest if values else text)


def _of_prose(text: str) -> int | None:
    found, rows = layout.tables(text.split('\n'))
    for table in found:
        if (label := shares.in_table(table)) is not None:
            return label
    rows += [' '.join(cells) for table in found for cells in table]
    lines = [texts.statements(line) for line in texts.lines('\n'.join(rows))]
    said = [[part for part in line if not conclusions.is_echo(part)] for line in lines]
    label = shares.in_text('\n'.join('; '.join(line) for line in said))
    return (
        label if label is not None else conclusions.emotion(part for line in said for part in line)
    )


def _of_letter(text: str) -> int | None:
    """The option that an answer names by its letter: 'A) happiness B) sadness. Answer: B'."""
    answer = _CHOICE.search(text)
    if not answer:
        return None
    options = {
        option['letter'].upper(): shares.label_of(option['word'])
        for option in _OPTION.finditer(text)
    }
    return options.get(answer['letter'].upper()) if len(options) > 1 else None


def _of_emoji(answer: str) -> int | None:
    """The emotion of the first face in an answer of emoji alone."""
    return next((tables.EMOJI[char] for char in answer if char in tables.EMOJI), None)


def _near(word: str) -> str | None:
    """The emotion word that `word` was meant to be, if it is close to one."""
    swapped = (
        known for known in _MISSPELT if sorted(known) == sorted(word) and known[0] == word[0]
    )
    close = difflib.get_close_matches(word, _MISSPELT, 1, 0.84)
    return next(swapped, close[0] if close else None)


def _of_misspelt(text: str) -> int | None:
    """The emotion of an answer whose only emotion word has a slip of the pen: 'suprised'."""
    words: Callable[[str], list[str]] = _LETTERS.findall
    for line in texts.lines(text):
        mended = line
        for word in dict.fromkeys(words(line.lower())[:_MOST_WORDS]):
            if near := _near(word):
                mended = re.sub(rf'\b{word}\b', near, mended, flags=re.I)
        if mended != line and (label := conclusions.emotion(texts.statements(mended))) is not None:
            return label
    return None
