"""Scores that a test makes up."""

from __future__ import annotations

from emola_jax.metrics.scores import Scores, Scoring


def made(s_re, s_ge, s_rege, *, n=0, **fields) -> Scores:
    """The same under both scorings; `fields` are of each."""
    part = Scoring(s_re=s_re, s_ge=s_ge, s_rege=s_rege, **fields)
    return Scores(n=n, strict=part, reference=part)
