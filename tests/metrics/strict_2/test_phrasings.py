"""Answers as models of many kinds write them, and what a person reads in each.

`given_*` came first; the rounds were written one after the other, each measured before the reader
was mended on it (docs/scoring.md says how many were right then). A null is an answer in which
nothing can be read.
"""

import json
from pathlib import Path

import pytest

from emola_jax.metrics import action_units, emotions

FOLDER = Path(__file__).parent / 'phrasings'


def rows(task):
    return [
        json.loads(line)
        for path in sorted(FOLDER.glob(f'*_{task}.jsonl'))
        for line in path.read_text(encoding='utf-8').split('\n')
        if line
    ]


@pytest.mark.parametrize('row', rows('action_units'), ids=lambda row: repr(row['text'][:50]))
def test_action_units(row):
    parsed = action_units.parse(row['text'])
    assert (parsed if parsed is None else sorted(action_units.parse_label(parsed))) == row['aus']


@pytest.mark.parametrize('row', rows('emotions'), ids=lambda row: repr(row['text'][:50]))
def test_emotions(row):
    assert emotions.parse(row['text']) == row['emotion']
