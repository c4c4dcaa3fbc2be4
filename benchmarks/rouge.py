"""Times ROUGE-L of many pairs of texts as long as FABA-AU answers beside the `rouge` package.

    python benchmarks/rouge.py                 10,000 pairs of 200 words
    python benchmarks/rouge.py --pairs=500     a minute's try

The package is timed on a sample of the pairs, ours on all of them, in turns (A B A B), and the best
turn of each counts; the scores of the sample are compared. The package gets its fastest setting:
ROUGE-L alone, where the released script has it compute ROUGE-1 and ROUGE-2 as well. Ours starts
from texts, too: splitting and numbering words is in its time, compilation is not.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import sys
import time
from pathlib import Path

import jax

from emola_jax.facs import AU_NAMES
from emola_jax.metrics import rouge_batch

# This script has the package's name, so that its own folder must not be searched first.
sys.path = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
from rouge import Rouge  # noqa: E402

TARGET = 50.0
"""Times the speed of the package that is asked for."""

_RESULTS = Path(__file__).parent / 'results' / 'rouge.json'
_PHRASES = (
    'the inner corners of the eyebrows are raised and drawn together',
    'the brows are lowered so that vertical lines appear between them',
    'the cheeks are lifted and small wrinkles gather beside the eyes',
    'the corners of the lips are pulled upward and outward',
    'the lips are parted slightly which may show surprise or relaxation',
    'the lids are tightened and the gaze seems focused on something',
    'the chin boss is pushed upward which wrinkles the skin of the chin',
    'the upper lip is raised and deepens the fold beside the nose',
)


def main() -> None:
    """Measures, prints, writes; exits with 1 below the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pairs', type=int, default=10_000, help='pairs that ours scores')
    parser.add_argument('--sample', type=int, default=200, help='pairs that the package scores')
    parser.add_argument('--words', type=int, default=200, help='words of a text')
    parser.add_argument('--turns', type=int, default=3, help='turns of each; the best one counts')
    parser.add_argument('--out', type=Path, default=_RESULTS, help='where to write the figures')
    args = parser.parse_args()
    rng = random.Random(0)
    pairs = [(_answer(rng, args.words), _answer(rng, args.words)) for _ in range(args.pairs)]
    sample = pairs[: args.sample]
    rouge_batch.rouge_l(pairs)  # compiles
    ours, theirs = [], []
    for _ in range(args.turns):
        start = time.perf_counter()
        scores = rouge_batch.rouge_l(pairs)
        ours.append((time.perf_counter() - start) / len(pairs))
        start = time.perf_counter()
        expected = [_package(*pair) for pair in sample]
        theirs.append((time.perf_counter() - start) / len(sample))
    gap = max(abs(a - b) for a, b in zip(scores, expected, strict=False))
    result = {
        'command': 'python benchmarks/rouge.py ' + ' '.join(sys.argv[1:]),
        'pairs': len(pairs),
        'pairs_timed_with_the_package': len(sample),
        'words': args.words,
        'ms_a_pair': round(1e3 * min(ours), 4),
        'ms_a_pair_of_the_package': round(1e3 * min(theirs), 3),
        'seconds_for_all': round(min(ours) * len(pairs), 2),
        'ratio': round(min(theirs) / min(ours), 1),
        'ratio_of_each_turn': [round(b / a, 1) for a, b in zip(ours, theirs, strict=True)],
        'largest_difference': gap,
        'device': jax.devices()[0].device_kind,
        'cpu_count': os.cpu_count(),
        'versions': {
            'python': platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ('jax', 'numpy', 'rouge')},
        },
    }
    print(json.dumps(result, indent=2))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + '\n')
    if result['ratio'] < TARGET or gap > 1e-9:
        raise SystemExit('the target is missed')


def _package(prediction: str, reference: str) -> float:
    return Rouge(metrics=['rouge-l']).get_scores(prediction, reference)[0]['rouge-l']['f']


def _answer(rng: random.Random, words: int) -> str:
    """A numbered list of action units with a sentence each, cut to `words` words."""
    entries = []
    for number, au in enumerate(rng.sample(sorted(AU_NAMES), 20), start=1):
        entries.append(f'{number}. AU{au} - {AU_NAMES[au]}: {rng.choice(_PHRASES)}.')
    return ' '.join(' '.join(entries).split()[:words])


if __name__ == '__main__':
    main()
