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


def files(task):
    return [
        pytest.param(path, id=path.stem.removesuffix(f'_{task}'))
        for path in sorted(FOLDER.glob(f'*_{task}.jsonl'))
    ]


def misread(path, field, read):
    """(text, what a person reads, what the reader reads) of every row that is read otherwise."""
    rows = [json.loads(line) for line in path.read_text('utf-8').split('\n') if line]
    assert len(rows) > 20
    return [(r['text'], r[field], r_) for r in rows if (r_ := read(r['text'])) != r[field]]


def units(text):
    parsed = action_units.parse(text)
    return None if parsed is None else sorted(action_units.parse_label(parsed))


@pytest.mark.parametrize('path', files('action_units'))
def test_action_units(path):
    assert misread(path, 'aus', units) == []


@pytest.mark.parametrize('path', files('emotions'))
def test_emotions(path):
    assert misread(path, 'emotion', emotions.parse) == []
