"""Holds the figures under benchmarks/results/ against what the project claims on two CPU cores.

    python -m benchmarks.claims

Prints a Markdown table, that of docs/performance.md; exits with 1 if a claim does not hold or has
no figure.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS


@dataclasses.dataclass(frozen=True)
class Claim:
    """One figure and its limit.

    Attributes:
      what: in words.
      file: under benchmarks/results/, without '.json'.
      place: keys down to the figure.
      limit: what it is held against.
      at_most: whether it may not be above the limit, rather than below.
    """

    what: str
    file: str
    place: tuple[str, ...]
    limit: float
    at_most: bool = False

    def measured(self, folder: Path) -> float | None:
        """The figure in its file; None without the file."""
        path = folder / f'{self.file}.json'
        if not path.is_file():
            return None
        found: Any = json.loads(path.read_text())
        for key in self.place:
            found = found[key]
        return float(found)

    def verdict(self, figure: float | None) -> str:
        """Whether `figure` keeps the limit: 'holds', 'missed' or 'not measured'."""
        if figure is None:
            return 'not measured'
        kept = figure <= self.limit if self.at_most else figure >= self.limit
        return 'holds' if kept else 'missed'


def _beside_torch() -> list[Claim]:
    claims = []
    for sizes, dtype, step, one in (
        ('small', 'float32', 1.2, 2.0),
        ('small', 'bfloat16', 1.2, 2.0),
        ('smollm2', 'float32', 1.0, 1.5),
    ):
        name = f'{sizes}, {dtype}'
        training, answers = f'train_step_{sizes}_{dtype}', f'generation_{sizes}_{dtype}'
        claims += [
            Claim(f'train step, {name}: times PEFT', training, ('ratios', 'torch', 'wall'), step),
            Claim(
                f"train step, {name}: memory in PEFT's",
                training,
                ('memory', 'torch', 'peak'),
                0.8,
                at_most=True,
            ),
            Claim(
                f'64 tokens, {name}, batch 1: times `generate`',
                answers,
                ('batches', '1', 'ratio', 'wall'),
                one,
            ),
        ]
        if sizes == 'small':
            claims.append(
                Claim(
                    f'64 tokens, {name}, batch 16: times one at a time',
                    answers,
                    ('batches', '16', 'ratio', 'wall'),
                    8.0,
                )
            )
    return claims


CLAIMS: Sequence[Claim] = (
    *_beside_torch(),
    Claim(
        'evaluation of 128 faces, both tasks: times the loop',
        'evaluation',
        ('times_the_loop', 'best'),
        5.0,
    ),
    Claim(
        'pipeline, two workers: times what a step eats',
        'pipeline',
        ('sides', '2 workers', 'times_what_a_step_eats'),
        3.0,
    ),
    Claim(
        "share of a run's time that waits for data",
        'pipeline',
        ('data_wait',),
        0.02,
        at_most=True,
    ),
    Claim('second start to first step, seconds', 'start_up', ('warm',), 25.0, at_most=True),
)


def main() -> None:
    """Prints the table."""
    print(table(RESULTS))
    if {claim.verdict(claim.measured(RESULTS)) for claim in CLAIMS} != {'holds'}:
        raise SystemExit(1)


def table(folder: Path) -> str:
    """Claims, figures and limits as Markdown."""
    lines = ['| claim | measured | limit | |', '| --- | --- | --- | --- |']
    for claim in CLAIMS:
        figure = claim.measured(folder)
        sign = '≤' if claim.at_most else '≥'
        shown = '–' if figure is None else f'{figure:.3g}'
        verdict = claim.verdict(figure)
        lines.append(f'| {claim.what} | {shown} | {sign} {claim.limit:g} | {verdict} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
