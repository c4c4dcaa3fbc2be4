"""Three parts of a data set's people, which no frame may cross: train on two, evaluate on one."""

from __future__ import annotations

from collections.abc import Mapping

FOLDS = (1, 2, 3)

Parts = Mapping[str, tuple[str, ...]]
"""Split name ('part1', 'part2', 'part3') -> ids of its subjects."""


def part_of(subject: str, parts: Parts) -> str | None:
    """The part that a subject belongs to, or None for an unknown one."""
    return next((part for part, subjects in parts.items() if subject in subjects), None)


def fold_splits(fold: int) -> tuple[str, str]:
    """The split that fold 1, 2 or 3 is trained on, and the one it is evaluated on.

    Fold k is evaluated on part k, as the released threefold script of EmoLA names its runs.
    ME-GraphAU counts the other way round (its fold 1 is evaluated on part 3); a mean over the three
    folds is the same.
    """
    trained = '+'.join(f'part{number}' for number in FOLDS if number != fold)
    return trained, f'part{fold}'
