"""What an answer claims of single action units, and what all its claims add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One thing said of one action unit.

    Attributes:
      au: FACS number.
      present: whether it is said to be active.
      explicit: whether a value says so ('AU4: yes', a cell, a member), not a sentence.
      known: False where the answer says only that it cannot tell.
    """

    au: int
    present: bool
    explicit: bool = False
    known: bool = True


def settled(claims: Iterable[Claim]) -> frozenset[int]:
    """Action units that are present by all the claims.

    A value beats sentences, and the last value earlier ones; without a value, one sentence that
    affirms is enough.
    """
    values: dict[int, bool] = {}
    said: dict[int, bool] = {}
    for claim in claims:
        if claim.explicit:
            values[claim.au] = claim.present
        else:
            said[claim.au] = said.get(claim.au, False) or claim.present
    return frozenset(au for au, present in {**said, **values}.items() if present)
