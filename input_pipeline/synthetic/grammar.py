"""Sentences from templates: `[a|b]` stands for one of its alternatives."""

from __future__ import annotations

import re

import numpy as np

_CHOICE = re.compile(r'\[([^\[\]]*)\]')
_VOWEL_AFTER_A = re.compile(r'\b([Aa]) (?=[aeio])')


def expand(template: str, rng: np.random.Generator) -> str:
    """Replaces every `[a|b|c]` of `template` by one alternative, innermost first.

    An alternative may be empty or hold a choice of its own. Each is equally likely. 'a' becomes
    'an' before a, e, i or o; a word with u brings its own article.
    """
    while True:
        expanded = _CHOICE.sub(lambda found: pick(found[1].split('|'), rng), template)
        if expanded == template:
            return _VOWEL_AFTER_A.sub(r'\1n ', expanded)
        template = expanded


def alternatives(template: str) -> list[str]:
    """Returns every text that `expand` can make of `template`."""
    found = _CHOICE.search(template)
    if found is None:
        return [template]
    head, tail = template[: found.start()], template[found.end() :]
    return [text for word in found[1].split('|') for text in alternatives(head + word + tail)]


def pick(options: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    """Returns one of `options`, each equally likely."""
    return options[int(rng.integers(len(options)))]


def join(parts: list[str]) -> str:
    """Joins clauses as a sentence does: 'a', 'a and b', 'a, b, and c'."""
    if len(parts) < 3:
        return ' and '.join(parts)
    return ', '.join(parts[:-1]) + ', and ' + parts[-1]


def sentence(text: str) -> str:
    """Returns `text` with a capital first letter and a full stop."""
    return text[0].upper() + text[1:] + '.'
