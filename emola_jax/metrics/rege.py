"""REGE, the score of FABA-Bench: how right (S_re) and how well worded (S_ge) answers are.

S_re is the accuracy over seven emotions, or the mean F1 over a data set's action units. S_ge is
the mean ROUGE-L. S_rege is their sum (Li et al., ECCV 2024, section 5). Two scorings of the same
samples stand side by side: `reference`, what the released script computes wherever it does not
crash, and `strict`, which reads negation, spellings and unparsable answers as a person would.
All scores are percentages, unrounded; None where a score is not defined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.metrics import action_units, emotions
from emola_jax.metrics.rouge import has_sentence, rouge_l

Task = Literal['emotion', 'au']
Scores = dict[str, Any]

MIN_SUPPORT = 5
"""Positive labels that an action unit needs to count in `mean_f1_supported`."""


@dataclass(frozen=True)
class Sample:
    """One answer and what it should have been.

    Attributes:
      id: names the sample in messages.
      prediction: the answer.
      reference: the annotated description.
      label: '4, 9' (action units, '' for none), or an emotion's name or number 0..6.
    """

    id: str
    prediction: str
    reference: str
    label: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Sample:
        """Reads one line of predictions.jsonl.

        Raises:
          UserError: for a missing field, a field that is no text, a task or label that is none.
        """
        name = f'prediction {row.get("id", "(no id)")}'
        for field in ('id', 'task', 'prediction', 'reference', 'label'):
            if field not in row:
                raise UserError(f'{name}: field {field!r} is missing')
        for field in ('id', 'prediction', 'reference'):
            if not isinstance(row[field], str):
                raise UserError(f'{name}: {field} is {row[field]!r}, expected a text')
        label = str(row['label'])
        if row['task'] == 'emotion':
            if emotions.parse_label(label) is None:
                names = ', '.join(EMOTIONS)
                raise UserError(f'{name}: label {label!r}, expected 0..6 or one of {names}')
        elif row['task'] == 'au':
            if label.strip() and not action_units.parse_label(label):
                raise UserError(f'{name}: label {label!r}, expected FACS numbers such as "4, 9"')
        else:
            raise UserError(f"{name}: task {row['task']!r}, expected 'emotion' or 'au'")
        return cls(row['id'], row['prediction'], row['reference'], label)


def score(samples: Sequence[Sample], task: Task, aus: Sequence[int] = ()) -> Scores:
    """Scores the answers to one task on one data set.

    Args:
      samples: the answers; their order does not matter.
      task: 'emotion' or 'au'.
      aus: action units whose mean F1 is S_re, in the order of the released script (not
        read for emotions).

    Returns:
      {'n', 'strict': {...}, 'reference': {...}}, each with 's_re', 's_ge', 's_rege', 'chance' (the
      S_re to expect of the same answers dealt to the faces at random), 'unparsed' and, for
      emotions, 'macro_f1', 'per_class' and 'confusion', or, for action units, 'mean_accuracy',
      'mean_f1_supported', 'au_code_name_agreement' and, by FACS number, 'per_au' (F1),
      'accuracy_per_au' and 'positives_per_au'.

    Raises:
      UserError: without samples, for another task, or for action units without a list.
    """
    if not samples:
        raise UserError('no samples to score: expected at least one prediction')
    if task not in ('emotion', 'au'):
        raise UserError(f"task {task!r}: expected 'emotion' or 'au'")
    if task == 'au' and not aus:
        raise UserError("task 'au': expected the action units to score")
    rouges = [rouge_l(sample.prediction, sample.reference) for sample in samples]
    scorable = [has_sentence(s.prediction) and has_sentence(s.reference) for s in samples]
    scores: Scores = {'n': len(samples)}
    for scoring in ('strict', 'reference'):
        strict = scoring == 'strict'
        if task == 'emotion':
            recognised = _score_emotions(samples, strict)
        else:
            recognised = _score_aus(samples, aus, strict)
        # The released script leaves out texts for which the rouge package raises.
        counted = [
            value for value, counts in zip(rouges, scorable, strict=True) if strict or counts
        ]
        s_ge = _percent(float(np.mean(counted)) if counted else None)
        s_re = recognised.pop('s_re')
        s_rege = None if s_re is None or s_ge is None else s_re + s_ge
        scores[scoring] = {'s_re': s_re, 's_ge': s_ge, 's_rege': s_rege, **recognised}
    return scores


def _score_emotions(samples: Sequence[Sample], strict: bool) -> Scores:
    """Accuracy, per-class scores and confusion; `confusion[label]` ends with 'unparsed'."""
    read = emotions.strict_emotion if strict else emotions.reference_emotion
    unparsed = len(EMOTIONS)
    confusion = np.zeros((unparsed, unparsed + 1), int)
    for sample in samples:
        label = emotions.parse_label(sample.label)
        if label is None:
            raise UserError(f'sample {sample.id}: label {sample.label!r} is no emotion')
        predicted = read(sample.prediction)
        confusion[label, unparsed if predicted is None else predicted] += 1
    per_class = {name: _class_scores(confusion, i) for i, name in enumerate(EMOTIONS)}
    answered = confusion[:, :unparsed].sum(axis=0)
    return {
        's_re': _percent(float(np.trace(confusion)) / len(samples)),
        'chance': _percent(float(confusion.sum(axis=1) @ answered) / len(samples) ** 2),
        'unparsed': int(confusion[:, unparsed].sum()),
        'macro_f1': _mean([entry['f1'] for entry in per_class.values()]),
        'per_class': per_class,
        'confusion': {
            'columns': [*EMOTIONS, 'unparsed'],
            'rows': {name: confusion[i].tolist() for i, name in enumerate(EMOTIONS)},
        },
    }


def _class_scores(confusion: Int[np.ndarray, '7 8'], index: int) -> Scores:
    """Scores of one emotion; F1 is None for an emotion that is neither labelled nor predicted."""
    hits = int(confusion[index, index])
    support, predicted = int(confusion[index].sum()), int(confusion[:, index].sum())
    return {
        'precision': _percent(hits / predicted if predicted else None),
        'recall': _percent(hits / support if support else None),
        'f1': _percent(2 * hits / (support + predicted) if support + predicted else None),
        'support': support,
    }


def _score_aus(samples: Sequence[Sample], aus: Sequence[int], strict: bool) -> Scores:
    if strict:
        read, read_label = action_units.strict_aus, action_units.parse_label
    else:
        read, read_label = action_units.reference_aus, action_units.reference_label
    predicted = _membership([read(sample.prediction) for sample in samples], aus)
    labelled = _membership([read_label(sample.label) for sample in samples], aus)
    columns = [_au_scores(predicted[:, i], labelled[:, i]) for i in range(len(aus))]
    if not strict:
        # It skips an action unit of which labels and predictions hold one class only, and then
        # prints what is left under the first names of its list.
        columns = [
            column
            for i, column in enumerate(columns)
            if np.unique([predicted[:, i], labelled[:, i]]).size == 2
        ]
    by_au = {str(au): column for au, column in zip(aus, columns, strict=strict)}
    pairs = [action_units.code_name_agreement(sample.prediction, aus) for sample in samples]
    agreeing, listed = np.sum(pairs, axis=0)
    return {
        's_re': _mean([column['f1'] for column in columns]),
        'chance': _mean([column['chance'] for column in columns]),
        'unparsed': sum(action_units.is_unparsed(sample.prediction) for sample in samples),
        'mean_f1_supported': _mean([c['f1'] for c in columns if c['positives'] >= MIN_SUPPORT]),
        'mean_accuracy': _mean([column['accuracy'] for column in columns]),
        'au_code_name_agreement': _percent(agreeing / listed if listed else None),
        'per_au': {au: column['f1'] for au, column in by_au.items()},
        'accuracy_per_au': {au: column['accuracy'] for au, column in by_au.items()},
        'positives_per_au': {au: column['positives'] for au, column in by_au.items()},
    }


def _membership(
    sets: Sequence[frozenset[int]], aus: Sequence[int]
) -> Bool[np.ndarray, 'samples aus']:
    return np.array([[au in found for au in aus] for found in sets], bool)


def _au_scores(predicted: Bool[np.ndarray, 'n'], labelled: Bool[np.ndarray, 'n']) -> Scores:
    """Scores of one action unit; F1 is None if it is neither labelled nor predicted."""
    hits = int((predicted & labelled).sum())
    either = int(predicted.sum() + labelled.sum())
    expected_hits = float(predicted.sum()) * float(labelled.mean())
    return {
        'f1': _percent(2 * hits / either if either else None),
        'chance': _percent(2 * expected_hits / either if either else None),
        'accuracy': _percent(float((predicted == labelled).mean())),
        'positives': int(labelled.sum()),
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * float(share)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
