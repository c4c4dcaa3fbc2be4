"""Which records of a split are fit for use: every one is looked at before anything is trained."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files.whole import write_json
from input_pipeline.conversation import prompt_tokens
from input_pipeline.pipeline import Encoder
from input_pipeline.records import Record, RecordSource
from input_pipeline.validate import Problem, problems

POLICIES = ('drop', 'stop')
"""What a bad record does: it is dropped and counted, or it stops the run."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """The usable records of a split, and the others with their reasons.

    Attributes:
      indices: i64[n] into the source.
      dropped: what is wrong with each record that is left out, in source order.
      lengths: i64[n], tokens of each usable record's conversation; None where nobody counted.
    """

    indices: np.ndarray
    dropped: tuple[Problem, ...]
    lengths: np.ndarray | None = None

    def reasons(self) -> dict[str, int]:
        """Number of dropped records by the kind of their first problem."""
        first = {problem.record: problem.kind for problem in reversed(self.dropped)}
        return dict(collections.Counter(first.values()))


def select(
    source: RecordSource,
    encoder: Encoder,
    *,
    known_aus: Sequence[int],
    needs_landmarks: bool,
    needs_label: bool,
    policy: str,
    report: Path,
    split: str,
    decodes: bool = True,
    reports: bool = True,
) -> Selection:
    """Checks every record of `source`; writes the problems to the JSON file `report`.

    Args:
      source: all records of a split.
      encoder: makes conversations of them, whose length counts.
      known_aus: the action units that the data set labels.
      needs_landmarks: whether a record without landmarks is bad.
      needs_label: whether a record without label is bad.
      policy: one of `POLICIES`.
      report: the file.
      split: its name, for messages.
      decodes: False for pictures that were decoded when the data set was built.
      reports: False where another process writes the file and prints what is left out.

    Raises:
      UserError: a record is bad and `policy` is 'stop', or no record is left.
    """
    if policy not in POLICIES:
        raise UserError(f'data.on_bad_record is {policy!r}; expected one of {POLICIES}')
    check = functools.partial(
        problems,
        known_aus=known_aus,
        needs_landmarks=needs_landmarks,
        needs_label=needs_label,
        decodes=decodes,
    )
    selection = _checked(source, encoder, check, split)
    if reports:
        write_json(report, [dataclasses.asdict(problem) for problem in selection.dropped])
    bad = len(source) - len(selection.indices)
    if selection.dropped and policy == 'stop':
        raise UserError(
            f'split {split}: {bad} bad records, the first: {selection.dropped[0].message} '
            f"(all in {report}; data.on_bad_record = 'drop' leaves them out)"
        )
    if selection.dropped and reports:
        reasons = ', '.join(f'{count} {kind}' for kind, count in selection.reasons().items())
        print(f'{split}: {bad} of {len(source)} records left out: {reasons}')
        print(f'  each is named in {report}')
    if not len(selection.indices):
        raise UserError(f'split {split}: no usable record is left of {len(source)}; see {report}')
    return selection


def _checked(
    source: RecordSource, encoder: Encoder, check: Callable[[Record], list[Problem]], split: str
) -> Selection:
    """Looks at every record, with a progress bar.

    Args:
      source: the records.
      encoder: makes conversations of them, whose length counts.
      check: what is wrong with a record, its length aside.
      split: its name, for the bar.
    """
    counter = _Counter.of(encoder)
    kept: list[int] = []
    lengths: list[int] = []
    dropped: list[Problem] = []
    for index in tqdm(range(len(source)), desc=f'check {split}', unit='record', leave=False):
        record = source[index]
        found = check(record)
        if not found:
            length, ends = counter.count(record)
            found = _end_problem(record, encoder) if ends > counter.ends else []
            found = found or _length_problem(record, length, encoder)
        dropped.extend(found)
        if not found:
            kept.append(index)
            lengths.append(length)
    return Selection(np.asarray(kept, np.int64), tuple(dropped), np.asarray(lengths, np.int64))


@dataclasses.dataclass(frozen=True)
class _Counter:
    """Counts the tokens of conversations.

    Attributes:
      encoder: without label weights, which cost as much as the tokens and are of no use here.
      ends: end tokens of a conversation whose texts spell out none.
    """

    encoder: Encoder
    ends: int

    @classmethod
    def of(cls, encoder: Encoder) -> _Counter:
        """A counter of the conversations that `encoder` makes."""
        tokenizer = encoder.tokenizer
        prompt = prompt_tokens(tokenizer, encoder.template, '', encoder.config.visual_tokens)
        plain = dataclasses.replace(encoder.config, label_weight=1.0)
        return cls(dataclasses.replace(encoder, config=plain), prompt.count(tokenizer.eos_id) + 1)

    def count(self, record: Record) -> tuple[int, int]:
        """How long the record's conversation is, and how many end tokens its text has."""
        made = self.encoder.conversation(record)
        # The last end token is no input.
        ends = int(np.count_nonzero(made.tokens == self.encoder.tokenizer.eos_id)) + 1
        return len(made.tokens), ends


def _end_problem(record: Record, encoder: Encoder) -> list[Problem]:
    """A text that spells the end token out would end the answer in its middle."""
    tokenizer = encoder.tokenizer
    texts = {'instruction': record.instruction, 'response': record.response}
    return [
        Problem(
            record.id,
            'end token in text',
            f"record '{record.id}': field {field} spells out the token that ends an answer, "
            'expected words only',
        )
        for field, text in texts.items()
        if tokenizer.eos_id in tokenizer.encode(text)
    ]


def _length_problem(record: Record, length: int, encoder: Encoder) -> list[Problem]:
    if length <= encoder.config.length:
        return []
    message = (
        f"record '{record.id}': its text has {length} tokens with the visual ones; "
        f'data.length allows {encoder.config.length}'
    )
    return [Problem(record.id, 'over-long text', message)]
