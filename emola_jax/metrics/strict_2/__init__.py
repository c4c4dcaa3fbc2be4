"""The strict reader of answers, version 2 ("strict-2"): how a person reads any model's answer.

`texts` makes an answer plain. Structure is read first: `structured` finds JSON and `objects` reads
action units in it, `layout` finds tables and `unit_tables` reads them, `numerals` reads answers of
bare numbers, `listing` and `entries` read lines, heads and values (`verdicts`), `shares` finds
percentages and marks of emotions. What is left are sentences, of which `negation` says what they
deny and `revisions` what they only repeat, suppose or take back. For emotions `conclusions` ranks
what is said: a stated result beats mentions on the way. Words and idioms are data (words.toml, read
by `tables`).
"""

from __future__ import annotations

from emola_jax.metrics.strict_2.action_units import read as aus
from emola_jax.metrics.strict_2.emotions import read as emotion

__all__ = ['aus', 'emotion']
