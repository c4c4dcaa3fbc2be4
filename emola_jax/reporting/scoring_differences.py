"""The answers that the two scorings read differently: what each read, and why."""

from __future__ import annotations

import dataclasses
import re

from emola_jax.facs import EMOTIONS
from emola_jax.metrics import action_units, emotions
from emola_jax.metrics.answer_row import AnswerRow
from emola_jax.metrics.strict_2 import negation, texts
from emola_jax.reporting.run_facts import Run


@dataclasses.dataclass(frozen=True)
class Difference:
    """One answer that is read in two ways.

    Attributes:
      id: of the sample.
      task: 'emotion' or 'au'.
      text: the answer.
      truth: the label.
      strict, reference: what each scoring reads.
      strict_right, reference_right: whether that is the truth.
      why: one clause.
    """

    id: str
    task: str
    text: str
    truth: str
    strict: str
    reference: str
    strict_right: bool
    reference_right: bool
    why: str


def differences(run: Run) -> list[Difference]:
    """All of them, in the order of the answers; only scored action units count."""
    scored = run.scores.tasks['au'].strict.per_au if 'au' in run.tasks else {}
    aus = frozenset(int(au) for au in scored)
    found = [
        _action_units(row, aus, run.reader('au'))
        if row.task == 'au'
        else _emotion(row, run.reader('emotion'))
        for row in run.predictions
    ]
    return [difference for difference in found if difference is not None]


def _emotion(row: AnswerRow, reader: str) -> Difference | None:
    text = row.prediction
    strict, reference = emotions.strict_emotion(text, reader), emotions.reference_emotion(text)
    if strict == reference:
        return None
    truth = emotions.parse_label(row.label)
    return Difference(
        id=row.id,
        task='emotion',
        text=text,
        truth=row.label,
        strict='no emotion' if strict is None else EMOTIONS[strict],
        reference='a crash' if reference is None else EMOTIONS[reference],
        strict_right=strict == truth,
        reference_right=reference == truth,
        why=_why_emotion(text, strict),
    )


_WORD = re.compile(r'\w+')
_SYNONYMS = frozenset(word for words in emotions.SYNONYMS.values() for word in words)
_SEEMING_NEGATION = re.compile(r'\b(?!(?:no|not|none|nor|nothing|cannot)\b)\w*no\w*', re.IGNORECASE)


def _why_emotion(text: str, strict: int | None) -> str:
    if emotions.reference_emotion(text) is None:
        return 'the first line has no “.”, “!” or “?”, and the released script stops with an error'
    if not _SYNONYMS & set(_WORD.findall(text.lower())):
        return 'the answer has none of its words, which the released script takes for happiness'
    seeming = _SEEMING_NEGATION.search(text)
    without = emotions.reference_emotion(_SEEMING_NEGATION.sub('x', text))
    if seeming and without != emotions.reference_emotion(text):
        return f'“{seeming[0]}” contains “no”, and the released script drops that sentence'
    if denied := _denied_words(text):
        return f'“{denied[0]}” is denied, and the scope of a denial is not what the script takes'
    if strict is None:
        return 'a word that the lists give to two emotions decides for the script, and names none'
    return (
        'the first listed word decides for the script; strict prefers the emotion that is concluded'
    )


def _denied_words(text: str) -> list[str]:
    known = _SYNONYMS | {word for words in emotions.NAMING_WORDS.values() for word in words}
    found = []
    for line in texts.lines(texts.plain(text)):
        for statement in texts.statements(line):
            spans = negation.denied_spans(statement)
            found += [
                word[0]
                for word in _WORD.finditer(statement)
                if word[0].lower() in known and negation.is_denied(word.start(), spans)
            ]
    return found


def _action_units(row: AnswerRow, aus: frozenset[int], reader: str) -> Difference | None:
    text, label = row.prediction, row.label
    strict = action_units.strict_aus(text, reader) & aus
    reference = action_units.reference_aus(text) & aus
    strict_label = action_units.parse_label(label) & aus
    reference_label = action_units.reference_label(label) & aus
    reasons = _why_action_units(text, strict, reference)
    if strict_label != reference_label:
        reasons.append(f'the released script cannot split the label “{label}”')
    if not reasons:
        return None
    return Difference(
        id=row.id,
        task='au',
        text=text,
        truth=_listed(strict_label),
        strict=_listed(strict),
        reference=_listed(reference),
        strict_right=strict == strict_label,
        reference_right=reference == reference_label,
        why='; '.join(reasons),
    )


def _why_action_units(text: str, strict: frozenset[int], reference: frozenset[int]) -> list[str]:
    reasons = [
        f'“{_spelling(text, au)}” is not spelled the one way that the released script knows'
        for au in sorted(strict - reference)
    ]
    for au in sorted(reference - strict):
        if re.search(rf'(?<![A-Za-z])AU{au}(?!\d)', text):
            reasons.append(f'AU{au} is denied')
        else:
            reasons.append(f'AU{au} stands inside another word')
    return reasons


def _spelling(text: str, au: int) -> str:
    """How `text` writes the action unit; from a list ('AUs 1, 2 and 4') its number alone."""
    found = re.search(
        rf'(?:AUs?|action\s+units?)[\s_#:.-]*0*{au}(?!\d)|(?<!\d)0*{au}(?!\d)', text, re.IGNORECASE
    )
    return found[0] if found else f'AU{au}'


def _listed(aus: frozenset[int]) -> str:
    return ', '.join(f'AU{au}' for au in sorted(aus)) or 'none'
