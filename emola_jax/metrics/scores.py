"""The scores of answers as records, and as the JSON of scores.json.

All scores are percentages, unrounded; None where a score is not defined. The fields of the JSON,
and their order, are the same in every version; what an older one lacks is read as missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files import json_values
from emola_jax.files.json_values import JsonObject, field, optional
from emola_jax.files.whole import read_json

SCORINGS = ('strict', 'reference')
HEADLINES = ('s_re', 's_ge', 's_rege')

Interval = tuple[float, float]
"""Low and high end, 95 %."""
Numbers = Mapping[str, float | None]
"""By name: of a headline, an action unit ('4') or an emotion."""
Intervals = Mapping[str, Interval | None]


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """One emotion under one scoring.

    Attributes:
      precision, recall, f1: in percent.
      support: samples that are labelled so.
      f1_interval: of `f1`, where there are intervals.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    f1_interval: Interval | None = None


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How often each label was answered by what.

    Attributes:
      columns: what answers name; 'unparsed' is the last.
      rows: label -> a count for each column.
    """

    columns: Sequence[str]
    rows: Mapping[str, Sequence[int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoring:
    """The scores of one task under one scoring.

    Attributes:
      s_re: recognition: the accuracy over the emotions, or the mean F1 over the action units.
      s_ge: wording: the mean ROUGE-L.
      s_rege: their sum.
      chance: the S_re to expect of the same answers dealt to the samples at random.
      unparsed: answers in which nothing can be read.
      interval: of the headlines; None without a bootstrap.
      reader, hash: the version of the strict reader ('strict' only); None in older files.
      macro_f1: mean F1 of the emotions.
      per_class: by emotion; empty for action units.
      confusion: of emotions; None for action units.
      mean_f1_supported: mean F1 of the action units with enough labels.
      mean_accuracy: over the action units.
      au_code_name_agreement: share of listings 'AU4 - Brow Lowerer' whose name is that of the code.
      per_au, accuracy_per_au, positives_per_au: F1, accuracy and labels by FACS number.
      per_au_interval: of `per_au`; None without a bootstrap.
      std: of the headlines over folds; None for what is no mean over folds.
    """

    s_re: float | None
    s_ge: float | None
    s_rege: float | None
    chance: float | None = None
    unparsed: int = 0
    interval: Intervals | None = None
    reader: str | None = None
    hash: str | None = None
    macro_f1: float | None = None
    per_class: Mapping[str, ClassScores] = dataclasses.field(default_factory=dict)
    confusion: Confusion | None = None
    mean_f1_supported: float | None = None
    mean_accuracy: float | None = None
    au_code_name_agreement: float | None = None
    per_au: Numbers = dataclasses.field(default_factory=dict)
    accuracy_per_au: Numbers = dataclasses.field(default_factory=dict)
    positives_per_au: Mapping[str, int] = dataclasses.field(default_factory=dict)
    per_au_interval: Intervals | None = None
    std: Numbers | None = None

    @property
    def headlines(self) -> dict[str, float | None]:
        """S_re, S_ge and S_rege by the names of `HEADLINES`."""
        return {'s_re': self.s_re, 's_ge': self.s_ge, 's_rege': self.s_rege}

    @property
    def stamp(self) -> dict[str, str]:
        """The strict reader that the scores rest on, as far as it is known."""
        known = {'reader': self.reader, 'hash': self.hash}
        return {name: text for name, text in known.items() if text is not None}

    def to_json(self) -> JsonObject:
        """As scores.json holds it."""
        order = _ORDER if self.std is None else _ORDER_OF_MEANS
        details = _OF_UNITS if self.confusion is None else _OF_CLASSES
        return {
            name: self._json_of(name)
            for name in order
            if (name in details or name not in _DETAILS)
            and (getattr(self, name) is not None or name not in _MAY_LACK)
        }

    def _json_of(self, name: str) -> object:
        if name == 'per_class':
            return {emotion: self._class_json(entry) for emotion, entry in self.per_class.items()}
        if name == 'confusion' and self.confusion is not None:
            return {'columns': list(self.confusion.columns), 'rows': dict(self.confusion.rows)}
        return getattr(self, name)

    def _class_json(self, entry: ClassScores) -> JsonObject:
        found = dataclasses.asdict(entry)
        if self.interval is None:
            del found['f1_interval']
        return found

    @classmethod
    def from_json(cls, value: object, where: str) -> Scoring:
        """Reads what `to_json` wrote, or an older version.

        Args:
          value: of the JSON.
          where: it stands, for messages.

        Raises:
          UserError: a field is missing or of another kind.
        """
        given = json_values.an_object(value, where)
        return cls(
            **{name: field(given, name, _NUMBER, where) for name in HEADLINES},
            chance=optional(given, 'chance', _NUMBER, where),
            unparsed=optional(given, 'unparsed', json_values.count, where) or 0,
            interval=optional(given, 'interval', _INTERVALS, where),
            reader=optional(given, 'reader', json_values.text, where),
            hash=optional(given, 'hash', json_values.text, where),
            macro_f1=optional(given, 'macro_f1', _NUMBER, where),
            per_class=optional(given, 'per_class', json_values.table_of(_class), where) or {},
            confusion=optional(given, 'confusion', _confusion, where),
            mean_f1_supported=optional(given, 'mean_f1_supported', _NUMBER, where),
            mean_accuracy=optional(given, 'mean_accuracy', _NUMBER, where),
            au_code_name_agreement=optional(given, 'au_code_name_agreement', _NUMBER, where),
            per_au=optional(given, 'per_au', _NUMBERS, where) or {},
            accuracy_per_au=optional(given, 'accuracy_per_au', _NUMBERS, where) or {},
            positives_per_au=optional(given, 'positives_per_au', _COUNTS, where) or {},
            per_au_interval=optional(given, 'per_au_interval', _INTERVALS, where),
            std=optional(given, 'std', _NUMBERS, where),
        )


_OF_CLASSES = ('macro_f1', 'per_class', 'confusion')
_OF_UNITS = (
    'mean_f1_supported',
    'mean_accuracy',
    'au_code_name_agreement',
    'per_au',
    'accuracy_per_au',
    'positives_per_au',
    'per_au_interval',
)
_DETAILS = (*_OF_CLASSES, *_OF_UNITS)
_MAY_LACK = ('reader', 'hash', 'interval', 'per_au_interval', 'std')
_ORDER = ('reader', 'hash', *HEADLINES, 'interval', 'chance', 'unparsed', *_OF_CLASSES, *_OF_UNITS)
_ORDER_OF_MEANS = (
    *('reader', 'hash', 's_re', 's_ge', 'chance', 'macro_f1', *_OF_UNITS[:5], 'per_class'),
    *('s_rege', 'unparsed', 'positives_per_au', 'confusion', 'std'),
)


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """Whether two runs differ in one score on the same samples; None where it is not defined.

    Attributes:
      difference: the first run's score less the second's.
      interval: of the difference.
      p_value: two-sided.
    """

    difference: float | None
    interval: Interval | None
    p_value: float | None


Comparison = Mapping[str, Mapping[str, PairedTest]]
"""By scoring and headline."""


@dataclasses.dataclass(frozen=True)
class ReadInPart:
    """How many texts were beyond a limit.

    Attributes:
      kind: what is counted: 'answers' or 'pairs'.
      number: of them.
      characters: that are read of a text.
    """

    kind: str
    number: int
    characters: int

    def to_json(self) -> JsonObject:
        """As scores.json holds it."""
        return {self.kind: self.number, 'characters': self.characters}


@dataclasses.dataclass(frozen=True)
class RougeScore:
    """Google's ROUGE-L, a second opinion on wording; None where a reference is not at hand."""

    rouge_l: float | None


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of the answers to one task on one data set, or their mean over folds.

    Attributes:
      n: samples.
      strict: as a person would read the answers.
      reference: as the released script does.
      rouge_score: no part of REGE; None in older files.
      read_in_part: by who read in part ('strict', 'rouge_l'); empty where no text was beyond.
      cut_off: answers that reached the length limit; None where that is not known.
      against: tests against another run, where one was given.
      notes: sentences on answers that are missing or were given again.
    """

    n: int
    strict: Scoring
    reference: Scoring
    rouge_score: RougeScore | None = None
    read_in_part: Mapping[str, ReadInPart] = dataclasses.field(default_factory=dict)
    cut_off: int | None = None
    against: Comparison | None = None
    notes: Sequence[str] = ()

    @property
    def by_scoring(self) -> dict[str, Scoring]:
        """Both scorings by the names of `SCORINGS`."""
        return {'strict': self.strict, 'reference': self.reference}

    def to_json(self) -> JsonObject:
        """As a file holds it: fields that there is nothing to say in are left out."""
        cut_off = {} if self.cut_off is None else {'cut_off': self.cut_off}
        is_mean = self.strict.std is not None
        found: JsonObject = {'n': self.n, **(cut_off if is_mean else {})}
        found |= {name: scoring.to_json() for name, scoring in self.by_scoring.items()}
        if self.rouge_score is not None:
            found['rouge_score'] = dataclasses.asdict(self.rouge_score)
        if self.read_in_part:
            found['read_in_part'] = {k: part.to_json() for k, part in self.read_in_part.items()}
        found |= cut_off
        if self.against is not None:
            found['against'] = {
                scoring: {name: dataclasses.asdict(test) for name, test in tests.items()}
                for scoring, tests in self.against.items()
            }
        return found | ({'notes': list(self.notes)} if self.notes else {})

    @classmethod
    def from_json(cls, value: object, where: str) -> Scores:
        """Reads the scores of a run; see `Scoring.from_json`. Tests against others are left out."""
        given = json_values.an_object(value, where)
        return cls(
            n=field(given, 'n', json_values.count, where),
            strict=field(given, 'strict', Scoring.from_json, where),
            reference=field(given, 'reference', Scoring.from_json, where),
            rouge_score=optional(given, 'rouge_score', _rouge_score, where),
            read_in_part=optional(given, 'read_in_part', json_values.table_of(_in_part), where)
            or {},
            cut_off=optional(given, 'cut_off', json_values.count, where),
        )


TaskScores = Mapping[str, Scores]
"""By task."""


@dataclasses.dataclass(frozen=True)
class RunScores:
    """A run's scores.json.

    Attributes:
      tasks: by task; of cross-validated runs the means over the folds.
      folds: of cross-validation, by fold.
      pooled: of cross-validation, all samples as one set.
      control: the answers to blank images.
      ablation: by model of the ablation.
    """

    tasks: TaskScores
    folds: Mapping[str, TaskScores] = dataclasses.field(default_factory=dict)
    pooled: TaskScores = dataclasses.field(default_factory=dict)
    control: TaskScores = dataclasses.field(default_factory=dict)
    ablation: Mapping[str, TaskScores] = dataclasses.field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """As scores.json holds it."""
        found: JsonObject = tasks_json(self.tasks)
        if self.folds:
            found['folds'] = {name: tasks_json(scores) for name, scores in self.folds.items()}
        if self.pooled:
            found['pooled'] = tasks_json(self.pooled)
        if self.control:
            found['control'] = tasks_json(self.control)
        if self.ablation:
            found['ablation'] = {name: tasks_json(scores) for name, scores in self.ablation.items()}
        return found

    @classmethod
    def from_json(cls, value: object, where: str) -> RunScores:
        """Reads it; see `Scoring.from_json`."""
        given = json_values.an_object(value, where)
        tasks = {name: part for name, part in given.items() if name not in _BESIDE_TASKS}
        return cls(
            _task_scores(tasks, where),
            optional(given, 'folds', json_values.table_of(_task_scores), where) or {},
            optional(given, 'pooled', _task_scores, where) or {},
            optional(given, 'control', _task_scores, where) or {},
            optional(given, 'ablation', json_values.table_of(_task_scores), where) or {},
        )

    @classmethod
    def read(cls, path: Path) -> RunScores:
        """Reads a scores.json.

        Raises:
          UserError: it is missing, damaged, or not what an evaluation writes.
        """
        try:
            return cls.from_json(read_json(path), str(path))
        except UserError as error:
            raise UserError(f'{error}; evaluate again (--mode=eval)') from None


def tasks_json(scores: TaskScores) -> JsonObject:
    """Scores by task as a file holds them."""
    return {task: of_task.to_json() for task, of_task in scores.items()}


_BESIDE_TASKS = ('folds', 'pooled', 'control', 'ablation')


def _task_scores(value: object, where: str) -> dict[str, Scores]:
    return json_values.table_of(Scores.from_json)(value, where)


def _interval(value: object, where: str) -> Interval | None:
    """Two ends; None where one is not defined."""
    ends = json_values.list_of(_NUMBER)(value, where)
    if len(ends) != 2:
        raise UserError(f'{where} has {len(ends)} ends, expected 2')
    low, high = ends
    return None if low is None or high is None else (low, high)


def _optional_interval(value: object, where: str) -> Interval | None:
    return None if value is None else _interval(value, where)


def _class(value: object, where: str) -> ClassScores:
    given = json_values.an_object(value, where)
    precision, recall, f1 = (
        field(given, name, _NUMBER, where) for name in ('precision', 'recall', 'f1')
    )
    support = field(given, 'support', json_values.count, where)
    return ClassScores(
        precision, recall, f1, support, optional(given, 'f1_interval', _optional_interval, where)
    )


def _confusion(value: object, where: str) -> Confusion:
    given = json_values.an_object(value, where)
    counts = json_values.table_of(json_values.list_of(json_values.count))
    return Confusion(
        field(given, 'columns', json_values.list_of(json_values.text), where),
        field(given, 'rows', counts, where),
    )


def _rouge_score(value: object, where: str) -> RougeScore:
    given = json_values.an_object(value, where)
    return RougeScore(field(given, 'rouge_l', _NUMBER, where))


def _in_part(value: object, where: str) -> ReadInPart:
    given = json_values.an_object(value, where)
    kinds = [name for name in given if name != 'characters']
    if len(kinds) != 1:
        raise UserError(f'{where}: expected a count and characters')
    return ReadInPart(
        kinds[0],
        field(given, kinds[0], json_values.count, where),
        field(given, 'characters', json_values.count, where),
    )


_NUMBER = json_values.or_none(json_values.number)
_NUMBERS = json_values.table_of(_NUMBER)
_COUNTS = json_values.table_of(json_values.count)
_INTERVALS = json_values.table_of(_optional_interval)
