"""What an instruction set consists of: counts, lengths, labels, co-occurrence and words."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.files.json_values import JsonObject
from emola_jax.metrics import emotions

Cells = tuple[Any, ...]
"""A row: texts and numbers, of one kind in a column."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One instruction with its answer.

    Attributes:
      split: where it belongs.
      task: 'emotion' or 'au'.
      instruction, response: the texts.
      emotion: a name, or None where there is none or none can be read.
      aus: action units that are present, or None where nothing says so.
      face: names the picture; entries about one picture share it.
      read_off: whether the labels were read off the answer by the strict scoring.
    """

    split: str
    task: str
    instruction: str
    response: str
    emotion: str | None
    aus: tuple[int, ...] | None
    face: str
    read_off: bool


@dataclasses.dataclass(frozen=True)
class Sheet:
    """One table: what becomes a CSV file of that name."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Cells, ...]

    def records(self) -> list[JsonObject]:
        """The rows as dicts by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def words(text: str) -> list[str]:
    """The words of a text in lower case; numbers and codes such as AU12 are none."""
    return [word.lower() for word in _WORD.findall(text)]


def length(text: str) -> int:
    """Words as the paper counts them: what stands between blanks."""
    return len(text.split())


_SENTENCE_END = re.compile(r'[.!?]+(?=\s|$)|\n')


def sentences(text: str) -> int:
    """How many sentences: they end at '.', '!' or '?' before a blank, or at a line break."""
    return sum(bool(part.strip()) for part in _SENTENCE_END.split(text))


def sheets(entries: Sequence[Entry]) -> dict[str, Sheet]:
    """All tables, by name."""
    made = (
        counts(entries),
        lengths(entries),
        length_histogram(entries),
        emotion_counts(entries),
        au_counts(entries),
        aus_per_face(entries),
        au_cooccurrence(entries),
        au_by_emotion(entries),
        words_by_emotion(entries),
        instructions(entries),
        word_counts(entries),
    )
    return {sheet.name: sheet for sheet in made}


def _groups(entries: Iterable[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """(split, task) -> entries, in the order of appearance."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.split, entry.task), []).append(entry)
    return groups


def counts(entries: Sequence[Entry]) -> Sheet:
    """How many, and how varied the texts are.

    distinct_1 and distinct_2 are the shares of different words and pairs of neighbours among all
    (Li et al., NAACL 2016); `effective_instructions` is 2 to the entropy in bits of the
    instructions: as many equally frequent ones would be as varied.
    """
    rows = []
    for (split, task), group in _groups(entries).items():
        texts = [words(entry.response) for entry in group]
        tokens = [word for text in texts for word in text]
        pairs = [pair for text in texts for pair in itertools.pairwise(text)]
        asked = collections.Counter(entry.instruction for entry in group)
        rows.append(
            (
                split,
                task,
                len(group),
                len({entry.face for entry in group}),
                len(asked),
                2 ** _entropy(list(asked.values())),
                len({entry.response for entry in group}),
                len(tokens),
                len(set(tokens)),
                _share(len(set(tokens)), len(tokens)),
                _share(len(set(pairs)), len(pairs)),
                _unread(group, task),
            )
        )
    columns = (
        'split', 'task', 'records', 'faces', 'distinct_instructions', 'effective_instructions',
        'distinct_answers', 'words', 'distinct_words', 'distinct_1', 'distinct_2', 'unread',
    )  # fmt: skip
    return Sheet('counts', columns, tuple(rows))


def _unread(group: Sequence[Entry], task: str) -> int:
    """Answers that neither a label nor a reading says anything of."""
    return sum((e.emotion if task == 'emotion' else e.aus) is None for e in group)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _entropy(numbers: Sequence[int]) -> float:
    total = sum(numbers)
    return -sum(n / total * math.log2(n / total) for n in numbers)


def lengths(entries: Sequence[Entry]) -> Sheet:
    """Words and sentences of instructions and answers."""
    rows = []
    for (split, task), group in _groups(entries).items():
        for kind in ('instruction', 'response'):
            texts = [getattr(entry, kind) for entry in group]
            for unit, values in (
                ('words', np.array([length(text) for text in texts])),
                ('sentences', np.array([sentences(text) for text in texts])),
            ):
                low, middle, high = np.percentile(values, [5, 50, 95])
                summary = (values.mean(), values.std(), values.min(), low, middle, high)
                rows.append(
                    (split, task, kind, unit, *(float(v) for v in summary), float(values.max()))
                )
    columns = (
        'split', 'task', 'text', 'unit', 'mean', 'sd', 'min', 'p5', 'median', 'p95', 'max',
    )  # fmt: skip
    return Sheet('lengths', columns, tuple(rows))


def length_histogram(entries: Sequence[Entry], bins: int = 24) -> Sheet:
    """Answers by their number of words, all splits together: the last bin includes its end."""
    rows: list[Cells] = []
    for task in dict.fromkeys(entry.task for entry in entries):
        values = [length(entry.response) for entry in entries if entry.task == task]
        width = max(1, math.ceil((max(values) + 1 - min(values)) / bins))
        edges = np.arange(min(values), max(values) + 1 + width, width)
        numbers, _ = np.histogram(values, edges)
        rows += [
            (task, int(low), int(high) - 1, int(number))
            for low, high, number in zip(edges, edges[1:], numbers, strict=False)
        ]
    return Sheet('length_histogram', ('task', 'from_words', 'to_words', 'answers'), tuple(rows))


def emotion_counts(entries: Sequence[Entry]) -> Sheet:
    """Records of the emotion task by emotion."""
    rows = []
    for (split, task), group in _groups(entries).items():
        if task == 'emotion':
            found = collections.Counter(entry.emotion for entry in group)
            rows += [(split, e, found[e], found[e] / len(group)) for e in EMOTIONS]
    return Sheet('emotions', ('split', 'emotion', 'records', 'share'), tuple(rows))


def au_counts(entries: Sequence[Entry]) -> Sheet:
    """Records of the action-unit task that show each action unit."""
    rows = []
    known = _known_aus(entries)
    for (split, task), group in _groups(entries).items():
        if task == 'au':
            found = collections.Counter(au for entry in group for au in entry.aus or ())
            rows += [
                (split, au, AU_NAMES.get(au, ''), found[au], found[au] / len(group)) for au in known
            ]
    return Sheet('action_units', ('split', 'au', 'name', 'records', 'share'), tuple(rows))


def aus_per_face(entries: Sequence[Entry]) -> Sheet:
    """Records of the action-unit task by how many action units they show."""
    rows = []
    for (split, task), group in _groups(entries).items():
        if task == 'au':
            found = collections.Counter(len(e.aus) for e in group if e.aus is not None)
            rows += [(split, number, found[number]) for number in range(max(found, default=-1) + 1)]
    return Sheet('aus_per_face', ('split', 'action_units', 'records'), tuple(rows))


def _known_aus(entries: Iterable[Entry]) -> list[int]:
    return sorted({au for e in entries if e.task == 'au' for au in e.aus or ()})


def _presence(entries: Iterable[Entry]) -> Int[np.ndarray, 'records aus']:
    """One row for each record of the action-unit task whose action units are known."""
    entries = [e for e in entries if e.task == 'au' and e.aus is not None]
    known = _known_aus(entries)
    rows = [[au in (entry.aus or ()) for au in known] for entry in entries]
    return np.array(rows, int).reshape(len(entries), len(known))


def au_cooccurrence(entries: Sequence[Entry]) -> Sheet:
    """How many records show both; on the diagonal, how many show the one. All splits."""
    known, present = _known_aus(entries), _presence(entries)
    together = present.T @ present
    rows = [(au, *(int(n) for n in line)) for au, line in zip(known, together, strict=True)]
    return Sheet('au_cooccurrence', ('au', *map(str, known)), tuple(rows))


def au_by_emotion(entries: Sequence[Entry]) -> Sheet:
    """Shares of the faces of each emotion that show each action unit; faces with both labels."""
    felt = {e.face: e.emotion for e in entries if e.task == 'emotion' and e.emotion}
    known = _known_aus(entries)
    by_emotion: dict[str, list[tuple[int, ...]]] = {emotion: [] for emotion in EMOTIONS}
    for entry in entries:
        if entry.task == 'au' and entry.aus is not None and entry.face in felt:
            by_emotion[felt[entry.face]].append(entry.aus)
    rows = [
        (emotion, len(faces), *(sum(au in aus for aus in faces) / len(faces) for au in known))
        for emotion, faces in by_emotion.items()
        if faces
    ]
    return Sheet('au_by_emotion', ('emotion', 'faces', *map(str, known)), tuple(rows))


PRIOR_WORDS = 1000.0
"""How many words of the whole set each emotion's words are drawn towards."""

LEAST_Z, MOST_WORDS, LEAST_COUNT = 1.96, 40, 3


def words_by_emotion(entries: Sequence[Entry]) -> Sheet:
    """Words that set an emotion's answers apart, strongest first; words that name one are left out.

    The score z is the log-odds ratio against all other answers with an informative Dirichlet prior,
    over its standard deviation (Monroe, Colaresi and Quinn, Political Analysis 2008).
    """
    answers = [e for e in entries if e.task == 'emotion' and e.emotion]
    naming = {word for names in emotions.NAMING_WORDS.values() for word in names}
    found = {emotion: collections.Counter[str]() for emotion in EMOTIONS}
    for entry in answers:
        found[entry.emotion or ''].update(w for w in words(entry.response) if w not in naming)
    vocabulary = sorted({word for counter in found.values() for word in counter})
    table = np.array([[counter[word] for word in vocabulary] for counter in found.values()], float)
    if not vocabulary:
        return Sheet('words_by_emotion', ('emotion', 'word', 'count', 'z'), ())
    scores = log_odds(table, PRIOR_WORDS)
    rows = []
    for emotion, numbers, line in zip(found, table, scores, strict=True):
        strongest = sorted(range(len(vocabulary)), key=lambda i: (-line[i], vocabulary[i]))
        kept = [i for i in strongest if line[i] > LEAST_Z and numbers[i] >= LEAST_COUNT]
        rows += [(emotion, vocabulary[i], int(numbers[i]), line[i]) for i in kept[:MOST_WORDS]]
    return Sheet('words_by_emotion', ('emotion', 'word', 'count', 'z'), tuple(rows))


def log_odds(
    table: Float[np.ndarray, 'classes words'], prior_words: float
) -> Float[np.ndarray, 'classes words']:
    """Log-odds ratio of each word in each class against all others, over its deviation."""
    total = table.sum(axis=0)
    prior = prior_words * total / total.sum()
    rest = total - table
    ours, others = table + prior, rest + prior
    odds = np.log(ours) - np.log(ours.sum(axis=1, keepdims=True) - ours)
    other_odds = np.log(others) - np.log(others.sum(axis=1, keepdims=True) - others)
    return (odds - other_odds) / np.sqrt(1 / ours + 1 / others)


def instructions(entries: Sequence[Entry]) -> Sheet:
    """Every different instruction, most frequent first."""
    rows = []
    for (split, task), group in _groups(entries).items():
        asked = collections.Counter(entry.instruction for entry in group)
        ordered = sorted(asked.items(), key=lambda item: (-item[1], item[0]))
        rows += [(split, task, text, number) for text, number in ordered]
    return Sheet('instructions', ('split', 'task', 'instruction', 'records'), tuple(rows))


def word_counts(entries: Sequence[Entry], most: int = 500) -> Sheet:
    """The most frequent words of the answers, all splits together."""
    rows = []
    for task in dict.fromkeys(entry.task for entry in entries):
        found = collections.Counter(
            word for entry in entries if entry.task == task for word in words(entry.response)
        )
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most]
        rows += [(task, word, number) for word, number in ordered]
    return Sheet('words', ('task', 'word', 'count'), tuple(rows))
