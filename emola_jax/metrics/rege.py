"""REGE, the score of FABA-Bench: how right (S_re) and how well worded (S_ge) answers are.

S_re is the accuracy over seven emotions, or the mean F1 over a data set's action units. S_ge is
the mean ROUGE-L. S_rege is their sum (Li et al., ECCV 2024, section 5). Two scorings of the same
samples stand side by side: `reference`, what the released script computes wherever it does not
crash, and `strict`, which reads negation, spellings and unparsable answers as a person would.
All scores are percentages, unrounded; None where a score is not defined.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.metrics import (
    action_units,
    evidence,
    memberships,
    readers,
    resampling,
    rouge_batch,
)
from emola_jax.metrics.evidence import Evidence, value, values
from emola_jax.metrics.memberships import Memberships
from emola_jax.metrics.rouge import has_sentence
from emola_jax.metrics.sample import Sample as Sample
from emola_jax.metrics.sample import Task as Task
from emola_jax.metrics.scores import (
    SCORINGS,
    ClassScores,
    Comparison,
    Confusion,
    ReadInPart,
    RougeScore,
    Scores,
    Scoring,
)

Resampled = Float[np.ndarray, 'replicates columns'] | None

LONGEST_WORDED = 131_072
"""Characters of a text that ROUGE-L reads: what it costs grows with the square."""

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
    processes: int = 1,
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
      processes: that may read, where there are many answers.

    Returns:
      Both scorings, Google's ROUGE-L, and how many texts were beyond a limit.

    Raises:
      UserError: without samples, for another task, or for action units without a list.
    """
    classes = _classes(task, aus)
    _check(samples, task, aus)
    members = memberships.read(samples, task, classes, reader=reader, processes=processes)
    found = _evidence(samples, task, members)
    resampled: Sequence[Resampled] = [None] * len(found)
    if replicates:
        resampled = evidence.replicates(list(found.values()), classes, replicates, seed)
    parts: dict[str, Scoring] = {}
    for (scoring, gathered), drawn in zip(found.items(), resampled, strict=True):
        part = _headlines(gathered, drawn)
        if task == 'emotion':
            parts[scoring] = _with_classes(part, members[scoring], gathered, drawn)
        else:
            parts[scoring] = _with_units(
                part, samples, aus, scoring, members[scoring], gathered, drawn
            )
    known = readers.named(reader)
    return Scores(
        n=len(samples),
        strict=dataclasses.replace(parts['strict'], reader=known.name, hash=known.hash),
        reference=parts['reference'],
        rouge_score=RougeScore(_rouge_score(samples)),
        read_in_part=_read_in_part(samples, reader),
    )


def _headlines(gathered: Evidence, resampled: Resampled) -> Scoring:
    sums = gathered.total()
    interval = None
    if resampled is not None:
        interval = {
            name: resampling.interval(measure(resampled))
            for name, measure in _measures(gathered).items()
        }
    return Scoring(
        s_re=value(gathered.s_re(sums)),
        s_ge=value(gathered.s_ge(sums)),
        s_rege=value(gathered.s_rege(sums)),
        chance=value(gathered.chance(sums)),
        interval=interval,
    )


def _measures(gathered: Evidence) -> dict[str, resampling.Measure]:
    """The headlines as functions of sums."""
    return {'s_re': gathered.s_re, 's_ge': gathered.s_ge, 's_rege': gathered.s_rege}


def _read_in_part(samples: Sequence[Sample], reader: str) -> dict[str, ReadInPart]:
    """How many answers and references were beyond a limit; empty where none was."""
    read = readers.named(reader)
    answers = sum(read.is_beyond(sample.prediction) for sample in samples)
    worded = sum(
        max(len(sample.prediction), len(sample.reference)) > LONGEST_WORDED for sample in samples
    )
    found = {}
    if answers:
        found['strict'] = ReadInPart('answers', answers, readers.LONGEST)
    if worded:
        found['rouge_l'] = ReadInPart('pairs', worded, LONGEST_WORDED)
    return found


def compare(
    first: Sequence[Sample],
    second: Sequence[Sample],
    task: Task,
    aus: Sequence[int] = (),
    *,
    seed: int = 0,
    reader: str = readers.LATEST,
) -> Comparison:
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
    tests = {}
    for scoring in SCORINGS:
        one, other = (run[scoring] for run in runs)
        tests[scoring] = {
            name: resampling.paired_test(one.rows, other.rows, measure, seed=seed)
            for name, measure in _measures(one).items()
        }
    return tests


def gather(
    samples: Sequence[Sample],
    task: Task,
    aus: Sequence[int] = (),
    *,
    reader: str = readers.LATEST,
) -> dict[str, Evidence]:
    """What each sample contributes, by scoring; see `score` for arguments and errors."""
    _check(samples, task, aus)
    members = memberships.read(samples, task, _classes(task, aus), reader=reader)
    return _evidence(samples, task, members)


def _check(samples: Sequence[Sample], task: Task, aus: Sequence[int]) -> None:
    if not samples:
        raise UserError('no samples to score: expected at least one prediction')
    if task not in ('emotion', 'au'):
        raise UserError(f"task {task!r}: expected 'emotion' or 'au'")
    if task == 'au' and not aus:
        raise UserError("task 'au': expected the action units to score")


def _classes(task: Task, aus: Sequence[int]) -> Sequence[int]:
    return range(len(EMOTIONS)) if task == 'emotion' else aus


def _evidence(
    samples: Sequence[Sample], task: Task, members: Mapping[str, Memberships]
) -> dict[str, Evidence]:
    rouges = _rouges(samples)
    return {
        scoring: Evidence.gather(
            members[scoring].predicted,
            members[scoring].labelled,
            rouges[scoring],
            by_f1=task == 'au',
            # The released script skips an action unit of which labels and predictions hold one
            # class only.
            one_class_counts=scoring == 'strict',
        )
        for scoring in SCORINGS
    }


def _rouges(samples: Sequence[Sample]) -> dict[str, list[float | None]]:
    """ROUGE-L of every sample by scoring, None where it is left out of the mean.

    The released script leaves out texts for which the rouge package raises. Strictly they score 0,
    and blanks around a text, which the package takes for a sentence behind the last dot, are no
    part of it.
    """
    texts = [(sample.prediction, sample.reference) for sample in samples]
    recorded = [sample.rouge_l for sample in samples]
    raw = _rouge_l(texts, recorded)
    changed = [i for i, pair in enumerate(texts) if pair != _stripped(pair)]
    strict = list(raw)
    stripped = _rouge_l([_stripped(texts[i]) for i in changed], [recorded[i] for i in changed])
    for i, rouge_l in zip(changed, stripped, strict=True):
        strict[i] = rouge_l
    found: dict[str, list[float | None]] = {'strict': [], 'reference': []}
    for i, (prediction, reference) in enumerate(texts):
        found['strict'].append(strict[i] if has_sentence(prediction.strip()) else 0.0)
        counts = has_sentence(prediction) and (recorded[i] is not None or has_sentence(reference))
        found['reference'].append(raw[i] if counts else None)
    return found


def _stripped(pair: rouge_batch.Pair) -> rouge_batch.Pair:
    return pair[0].strip(), pair[1].strip()


def _rouge_l(texts: Sequence[rouge_batch.Pair], recorded: Sequence[float | None]) -> list[float]:
    pairs = [
        _within(pair) for pair, rouge_l in zip(texts, recorded, strict=True) if rouge_l is None
    ]
    computed = iter(rouge_batch.rouge_l(pairs))
    return [next(computed) if rouge_l is None else rouge_l for rouge_l in recorded]


def _within(pair: rouge_batch.Pair) -> rouge_batch.Pair:
    """As far as ROUGE-L reads; almost every text is short, and stays the same object."""
    return pair[0][:LONGEST_WORDED], pair[1][:LONGEST_WORDED]


def _rouge_score(samples: Sequence[Sample]) -> float | None:
    pairs = [_within((s.prediction, s.reference)) for s in samples if s.rouge_l is None]
    if len(pairs) < len(samples):
        return None
    return 100 * math.fsum(rouge_batch.rouge_score_l(pairs)) / len(pairs)


def _with_classes(
    part: Scoring, members: Memberships, gathered: Evidence, resampled: Resampled
) -> Scoring:
    """Adds per-class scores and confusion, whose rows end with 'unparsed'."""
    unparsed = len(EMOTIONS)
    answered = np.concatenate([members.predicted, members.unparsed[:, None]], axis=1)
    confusion = members.labelled.T.astype(int) @ answered.astype(int)
    f1 = values(gathered.f1(gathered.total()))
    per_class: dict[str, ClassScores] = {}
    for i, name in enumerate(EMOTIONS):
        hits, support, predicted = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
        interval = None
        if resampled is not None and f1[i] is not None:
            interval = resampling.interval(gathered.f1(resampled)[:, i])
        precision, recall = _percent(hits, predicted), _percent(hits, support)
        per_class[name] = ClassScores(precision, recall, f1[i], int(support), interval)
    return dataclasses.replace(
        part,
        unparsed=int(confusion[:, unparsed].sum()),
        macro_f1=value(gathered.macro_f1(gathered.total())),
        per_class=per_class,
        confusion=Confusion(
            [*EMOTIONS, 'unparsed'],
            {name: confusion[i].tolist() for i, name in enumerate(EMOTIONS)},
        ),
    )


def _with_units(
    part: Scoring,
    samples: Sequence[Sample],
    aus: Sequence[int],
    scoring: str,
    members: Memberships,
    gathered: Evidence,
    resampled: Resampled,
) -> Scoring:
    """Adds what is scored of each action unit."""
    sums = gathered.total()
    f1, accuracy = values(gathered.f1(sums)), values(gathered.accuracy(sums))
    kept = list(range(len(aus)))
    if scoring == 'reference':
        # It prints what it did not skip under the first names of its list.
        kept = [i for i in kept if f1[i] is not None]
    positives = gathered.positives()
    supported = [f1[i] for i in kept if positives[i] >= MIN_SUPPORT]
    agreeing, listed = _code_name_agreement(samples, aus)
    columns = dict(zip(map(str, aus), kept, strict=False))
    intervals = None
    if resampled is not None:
        spread = gathered.f1(resampled)
        intervals = {
            name: None if f1[i] is None else resampling.interval(spread[:, i])
            for name, i in columns.items()
        }
    return dataclasses.replace(
        part,
        unparsed=int(members.unparsed.sum()),
        mean_f1_supported=_mean(supported),
        mean_accuracy=_mean([accuracy[i] for i in kept]),
        au_code_name_agreement=_percent(agreeing, listed),
        per_au={name: f1[i] for name, i in columns.items()},
        accuracy_per_au={name: accuracy[i] for name, i in columns.items()},
        positives_per_au={name: positives[i] for name, i in columns.items()},
        per_au_interval=intervals,
    )


def _code_name_agreement(samples: Sequence[Sample], aus: Sequence[int]) -> tuple[int, int]:
    agreeing = listed = 0
    for sample in samples:
        found = action_units.code_name_agreement(sample.prediction, aus)
        agreeing, listed = agreeing + found[0], listed + found[1]
    return agreeing, listed


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
