"""REGE, the score of FABA-Bench: how right (S_re) and how well worded (S_ge) answers are.

S_re is the accuracy over seven emotions, or the mean F1 over a data set's action units. S_ge is
the mean ROUGE-L. S_rege is their sum (Li et al., ECCV 2024, section 5). Two scorings of the same
samples stand side by side: `reference`, what the released script computes wherever it does not
crash, and `strict`, which reads negation, spellings and unparsable answers as a person would.
All scores are percentages, unrounded; None where a score is not defined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.metrics import action_units, emotions, readers, resampling, rouge_batch
from emola_jax.metrics.evidence import Evidence, value, values
from emola_jax.metrics.rouge import has_sentence
from emola_jax.metrics.sample import Sample as Sample
from emola_jax.metrics.sample import Task as Task

Scores = dict[str, Any]

SCORINGS = ('strict', 'reference')

_CLASSES = range(len(EMOTIONS))

MIN_SUPPORT = 5
"""Positive labels that an action unit needs to count in `mean_f1_supported`."""


def score(
    samples: Sequence[Sample],
    task: Task,
    aus: Sequence[int] = (),
    *,
    replicates: int = resampling.REPLICATES,
    seed: int = 0,
    reader: str = readers.LATEST,
) -> Scores:
    """Scores the answers to one task on one data set.

    Args:
      samples: the answers; their order does not matter.
      task: 'emotion' or 'au'.
      aus: action units whose mean F1 is S_re, in the order of the released script (not
        read for emotions).
      replicates: bootstrap replicates that an interval rests on; 0 for none.
      seed: of the bootstrap.
      reader: the version of the strict reader (`readers.NAMES`).

    Returns:
      {'n', 'strict': {...}, 'reference': {...}, 'rouge_score': {'rouge_l'}}. Both scorings have
      's_re', 's_ge', 's_rege', 'interval' (95 % of these three), 'chance' (the S_re to expect of
      the same answers dealt to the faces at random), 'unparsed' and, for emotions, 'macro_f1',
      'per_class' and 'confusion', or, for action units, 'mean_accuracy', 'mean_f1_supported',
      'au_code_name_agreement' and, by FACS number, 'per_au' (F1), 'per_au_interval',
      'accuracy_per_au' and 'positives_per_au'. 'strict' also has the 'reader' that it rests on, and
      its 'hash'. 'rouge_l' of 'rouge_score' is Google's ROUGE-L, a
      second opinion on wording that is no part of REGE.

    Raises:
      UserError: without samples, for another task, or for action units without a list.
    """
    scores: Scores = {'n': len(samples)}
    for scoring, evidence in gather(samples, task, aus, reader=reader).items():
        sums = evidence.total()
        classes = range(len(EMOTIONS)) if task == 'emotion' else aus
        resampled = evidence.replicates(classes, replicates, seed) if replicates else None
        measures = {'s_re': evidence.s_re, 's_ge': evidence.s_ge, 's_rege': evidence.s_rege}
        part: Scores = readers.named(reader).stamp() if scoring == 'strict' else {}
        part |= {name: value(measure(sums)) for name, measure in measures.items()}
        if resampled is not None:
            part['interval'] = {
                name: resampling.interval(measure(resampled)) for name, measure in measures.items()
            }
        part['chance'] = value(evidence.chance(sums))
        if task == 'emotion':
            part |= _emotion_details(samples, scoring, evidence, resampled, reader)
        else:
            part |= _au_details(samples, aus, scoring, evidence, resampled, reader)
        scores[scoring] = part
    scores['rouge_score'] = {'rouge_l': _rouge_score(samples)}
    return scores


def compare(
    first: Sequence[Sample],
    second: Sequence[Sample],
    task: Task,
    aus: Sequence[int] = (),
    *,
    seed: int = 0,
    reader: str = readers.LATEST,
) -> Scores:
    """Paired tests between two runs on the same samples.

    Args:
      first: answers of one run.
      second: answers of the other, with the same ids and labels in any order.
      task: 'emotion' or 'au'.
      aus: as in `score`.
      seed: of the resampling.
      reader: as in `score`.

    Returns:
      By scoring and by 's_re', 's_ge' and 's_rege': see `resampling.paired_test`.

    Raises:
      UserError: if the runs don't answer the same samples.
    """
    order = {sample.id: sample for sample in second}
    _check_same(first, order)
    pairs = (first, [order[sample.id] for sample in first])
    runs = [gather(samples, task, aus, reader=reader) for samples in pairs]
    scores: Scores = {}
    for scoring in SCORINGS:
        one, other = (run[scoring] for run in runs)
        measures = {'s_re': one.s_re, 's_ge': one.s_ge, 's_rege': one.s_rege}
        scores[scoring] = {
            name: resampling.paired_test(one.rows, other.rows, measure, seed=seed)
            for name, measure in measures.items()
        }
    return scores


def gather(
    samples: Sequence[Sample],
    task: Task,
    aus: Sequence[int] = (),
    *,
    reader: str = readers.LATEST,
) -> dict[str, Evidence]:
    """What each sample contributes, by scoring; see `score` for arguments and errors."""
    if not samples:
        raise UserError('no samples to score: expected at least one prediction')
    if task not in ('emotion', 'au'):
        raise UserError(f"task {task!r}: expected 'emotion' or 'au'")
    if task == 'au' and not aus:
        raise UserError("task 'au': expected the action units to score")
    rouges = _rouges(samples)
    found: dict[str, Evidence] = {}
    for scoring in SCORINGS:
        if task == 'emotion':
            labels, answers = _emotion_labels(samples), _emotion_answers(samples, scoring, reader)
            labelled = np.array([[label == i for i in _CLASSES] for label in labels])
            predicted = np.array([[answer == i for i in _CLASSES] for answer in answers])
        else:
            labelled, predicted = _au_memberships(samples, aus, scoring, reader)
        found[scoring] = Evidence.gather(
            predicted,
            labelled,
            rouges[scoring],
            by_f1=task == 'au',
            # The released script skips an action unit of which labels and predictions hold one
            # class only.
            one_class_counts=scoring == 'strict',
        )
    return found


def _rouges(samples: Sequence[Sample]) -> dict[str, list[float | None]]:
    """ROUGE-L of every sample by scoring, None where it is left out of the mean.

    The released script leaves out texts for which the rouge package raises. Strictly they score 0,
    and blanks around a text, which the package takes for a sentence behind the last dot, are no
    part of it.
    """
    raw = _rouge_l(samples)
    stripped = [
        replace(sample, prediction=sample.prediction.strip(), reference=sample.reference.strip())
        for sample in samples
    ]
    changed = [i for i, sample in enumerate(samples) if sample != stripped[i]]
    strict = list(raw)
    for i, rouge_l in zip(changed, _rouge_l([stripped[i] for i in changed]), strict=True):
        strict[i] = rouge_l
    scorable = [
        has_sentence(sample.prediction)
        and (sample.rouge_l is not None or has_sentence(sample.reference))
        for sample in samples
    ]
    return {
        'strict': [
            rouge_l if has_sentence(sample.prediction) else 0.0
            for sample, rouge_l in zip(stripped, strict, strict=True)
        ],
        'reference': [
            rouge_l if counts else None for rouge_l, counts in zip(raw, scorable, strict=True)
        ],
    }


def _rouge_l(samples: Sequence[Sample]) -> list[float]:
    computed = iter(
        rouge_batch.rouge_l([(s.prediction, s.reference) for s in samples if s.rouge_l is None])
    )
    return [next(computed) if s.rouge_l is None else s.rouge_l for s in samples]


def _rouge_score(samples: Sequence[Sample]) -> float | None:
    pairs = [(s.prediction, s.reference) for s in samples if s.rouge_l is None]
    if len(pairs) < len(samples):
        return None
    return 100 * math.fsum(rouge_batch.rouge_score_l(pairs)) / len(pairs)


def _emotion_labels(samples: Sequence[Sample]) -> list[int]:
    labels = []
    for sample in samples:
        label = emotions.parse_label(sample.label)
        if label is None:
            raise UserError(f'sample {sample.id}: label {sample.label!r} is no emotion')
        labels.append(label)
    return labels


def _emotion_answers(samples: Sequence[Sample], scoring: str, reader: str) -> list[int | None]:
    read = readers.named(reader).emotion if scoring == 'strict' else emotions.reference_emotion
    return [read(sample.prediction) for sample in samples]


def _emotion_details(
    samples: Sequence[Sample],
    scoring: str,
    evidence: Evidence,
    resampled: Float[np.ndarray, 'replicates columns'] | None,
    reader: str,
) -> Scores:
    """Per-class scores and confusion, whose rows end with 'unparsed'."""
    unparsed = len(EMOTIONS)
    confusion = np.zeros((unparsed, unparsed + 1), int)
    answers = _emotion_answers(samples, scoring, reader)
    for label, answer in zip(_emotion_labels(samples), answers, strict=True):
        confusion[label, unparsed if answer is None else answer] += 1
    f1 = values(evidence.f1(evidence.total()))
    per_class: dict[str, Scores] = {}
    for i, name in enumerate(EMOTIONS):
        hits, support, predicted = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
        per_class[name] = {
            'precision': _percent(hits, predicted),
            'recall': _percent(hits, support),
            'f1': f1[i],
            'support': int(support),
        }
        if resampled is not None:
            interval = None if f1[i] is None else resampling.interval(evidence.f1(resampled)[:, i])
            per_class[name]['f1_interval'] = interval
    return {
        'unparsed': int(confusion[:, unparsed].sum()),
        'macro_f1': value(evidence.macro_f1(evidence.total())),
        'per_class': per_class,
        'confusion': {
            'columns': [*EMOTIONS, 'unparsed'],
            'rows': {name: confusion[i].tolist() for i, name in enumerate(EMOTIONS)},
        },
    }


def _au_memberships(
    samples: Sequence[Sample], aus: Sequence[int], scoring: str, reader: str
) -> tuple[Bool[np.ndarray, 'samples aus'], Bool[np.ndarray, 'samples aus']]:
    """Which action units each sample labels, and which its answer names."""
    if scoring == 'strict':
        read, read_label = readers.named(reader).aus, action_units.parse_label
    else:
        read, read_label = action_units.reference_aus, action_units.reference_label
    labelled = [read_label(sample.label) for sample in samples]
    predicted = [read(sample.prediction) or frozenset() for sample in samples]
    return (
        np.array([[au in found for au in aus] for found in labelled]),
        np.array([[au in found for au in aus] for found in predicted]),
    )


def _au_details(
    samples: Sequence[Sample],
    aus: Sequence[int],
    scoring: str,
    evidence: Evidence,
    resampled: Float[np.ndarray, 'replicates columns'] | None,
    reader: str,
) -> Scores:
    # What `reference` leaves unparsed was always counted by the first strict reader.
    read = readers.named(reader if scoring == 'strict' else readers.FIRST).aus
    sums = evidence.total()
    f1, accuracy = values(evidence.f1(sums)), values(evidence.accuracy(sums))
    kept = list(range(len(aus)))
    if scoring == 'reference':
        # It prints what it did not skip under the first names of its list.
        kept = [i for i in kept if f1[i] is not None]
    positives = evidence.positives()
    supported = [f1[i] for i in kept if positives[i] >= MIN_SUPPORT]
    pairs = [action_units.code_name_agreement(sample.prediction, aus) for sample in samples]
    agreeing, listed = np.sum(pairs, axis=0)
    names = [str(au) for au in aus]
    details: Scores = {
        'unparsed': sum(read(sample.prediction) is None for sample in samples),
        'mean_f1_supported': _mean(supported),
        'mean_accuracy': _mean([accuracy[i] for i in kept]),
        'au_code_name_agreement': _percent(agreeing, listed),
        'per_au': {name: f1[i] for name, i in zip(names, kept, strict=False)},
        'accuracy_per_au': {name: accuracy[i] for name, i in zip(names, kept, strict=False)},
        'positives_per_au': {name: positives[i] for name, i in zip(names, kept, strict=False)},
    }
    if resampled is not None:
        spread = evidence.f1(resampled)
        details['per_au_interval'] = {
            name: None if f1[i] is None else resampling.interval(spread[:, i])
            for name, i in zip(names, kept, strict=False)
        }
    return details


def _check_same(first: Sequence[Sample], second: Mapping[str, Sample]) -> None:
    ids = {sample.id for sample in first}
    missing, extra = sorted(ids - second.keys()), sorted(second.keys() - ids)
    for names, where in ((missing, 'only in the first'), (extra, 'only in the second')):
        if names:
            raise UserError(
                f'the runs answer other samples: {len(names)} {where}, such as {names[0]!r}'
            )
    for sample in first:
        if sample.label != second[sample.id].label:
            raise UserError(
                f'sample {sample.id}: label {sample.label!r} in the first run, '
                f'{second[sample.id].label!r} in the second'
            )


def _percent(part: float, whole: float) -> float | None:
    return 100.0 * float(part) / float(whole) if whole else None


def _mean(scores: Sequence[float | None]) -> float | None:
    defined = [score for score in scores if score is not None]
    return math.fsum(defined) / len(defined) if defined else None
