"""Scores the answers of any model: accuracy or mean AU F1, ROUGE-L, and their sum (REGE).

    python examples/score.py answers.jsonl emotion

A line of the file has the fields "prediction", "reference" and "label".
"""

import json
import sys
from pathlib import Path

import emola_jax


def main(path: str, task: str = 'emotion') -> None:
    """Prints REGE under both scorings."""
    rows = [
        json.loads(line) for line in Path(path).read_text(encoding='utf-8').splitlines() if line
    ]
    scores = emola_jax.score(rows, task=task, replicates=200)
    for scoring in ('strict', 'reference'):
        part = getattr(scores, scoring)
        low, high = part.interval['s_rege']
        print(f'{scoring}: REGE {part.s_rege:.1f} [{low:.1f}, {high:.1f}], {scores.n} answers')


if __name__ == '__main__':
    main(*sys.argv[1:])
