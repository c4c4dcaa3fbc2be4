"""Scores any model's answers (REGE of FABA-Bench), without the model.

python -m emola_jax.score predictions.jsonl --dataset=faba --task=au --out=scores.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from emola_jax.cli import command
from emola_jax.errors import UserError
from emola_jax.files import places, whole
from emola_jax.metrics import action_units, any_answers, read_answers, readers
from emola_jax.metrics.scores import HEADLINES, Comparison, ReadInPart, Scores

_EPILOG = """\
PREDICTIONS is a file with one JSON object a line:

  {"id": "im7", "prediction": "AU4 and AU9 are active.", "reference": "1. AU4 - …", "label": "4, 9"}
  {"id": "im8", "prediction": "The face shows fear.", "reference": "The …", "label": "fear"}

label is a list of FACS numbers ("" for none), or the name or number of an emotion: 0 happiness,
1 sadness, 2 surprise, 3 anger, 4 neutral, 5 disgust, 6 fear. Other fields are ignored. An output
folder of the released eval_FABA.py is read too; it holds no reference texts, which --annotations
supplies.

"reference" is the score of the released script, its faults included; "strict" reads an answer as a
person would (docs/scoring.md). Scores are percentages; in brackets, 95 % bootstrap intervals.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    args = _parser().parse_args(argv)
    with command.exits_with_a_sentence('emola_jax.score'):
        if args.out:
            places.check_output_file(args.out)
        scores = _scores(args)
        if args.out:
            whole.write_json(args.out, scores.to_json())
    print('\n'.join(summary(scores)))
    if args.out:
        print(f'\neverything, unrounded: {args.out}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m emola_jax.score',
        description="Scores any model's answers: REGE of FABA-Bench, as published and strictly.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'predictions', type=places.path, help='answers to score: a file or a folder'
    )
    parser.add_argument('--task', choices=('emotion', 'au'), required=True)
    parser.add_argument(
        '--dataset',
        default='faba',
        help='whose action units count in S_re: '
        + ', '.join(any_answers.DATASETS)
        + ' (default: faba)',
    )
    parser.add_argument('--aus', help='action units that count instead, such as "1, 2, 4"')
    parser.add_argument(
        '--against', type=places.path, help='answers of another model to compare with'
    )
    parser.add_argument('--annotations', type=places.path, help='annotation file of the release')
    parser.add_argument('--out', type=places.path, help='write all scores to this JSON file')
    parser.add_argument(
        '--replicates',
        type=command.whole(0, 1_000_000),
        default=2000,
        help='of the bootstrap; 0 for none',
    )
    parser.add_argument(
        '--reader',
        choices=readers.NAMES,
        default=readers.LATEST,
        help=f'version of the strict reader of answers (default: {readers.LATEST})',
    )
    parser.add_argument(
        '--seed', type=command.whole(0, 2**32 - 1), default=0, help='of intervals and p-values'
    )
    return parser


def _scores(args: argparse.Namespace) -> Scores:
    task = args.task
    any_answers.full_name(args.dataset)  # before anything is read
    found = read_answers.load(args.predictions, task, args.annotations)
    others = read_answers.load(args.against, task, args.annotations) if args.against else None
    return any_answers.score(
        found,
        task,
        dataset=args.dataset,
        aus=None if args.aus is None else _aus(args.aus),
        others=others,
        replicates=args.replicates,
        reader=args.reader,
        seed=args.seed,
    )


def _aus(given: str) -> tuple[int, ...]:
    if not action_units.is_label(given) or not action_units.parse_label(given):
        raise UserError(f'--aus={given}: expected FACS numbers such as "1, 2, 4"')
    return tuple(sorted(action_units.parse_label(given)))


_NAMES = dict(zip(HEADLINES, ('S_re', 'S_ge', 'S_rege'), strict=True))


def summary(scores: Scores) -> list[str]:
    """Lines that show the scores under both scorings."""
    titles = ''.join(f'{name:>24}' for name in _NAMES.values())
    lines = [f'{f"{scores.n} answers":<12}{titles}{"unparsed":>10}']
    for scoring, part in scores.by_scoring.items():
        intervals = part.interval or {}
        cells = [_cell(value, intervals.get(key)) for key, value in part.headlines.items()]
        lines.append(f'{scoring:<12}' + ''.join(f'{cell:>24}' for cell in cells))
        lines[-1] += f'{part.unparsed:>10}'
    google = scores.rouge_score.rouge_l if scores.rouge_score else None
    if google is not None:
        lines.append(
            f"{'rouge-score':<12}{'':>24}{google:>24.2f}    (Google's ROUGE-L, not in REGE)"
        )
    lines += _read_in_part(scores.read_in_part)
    lines += scores.notes
    lines += ['', *_classes(scores)]
    if scores.against is not None:
        lines += ['', *_differences(scores.against)]
    return lines


def _read_in_part(beyond: Mapping[str, ReadInPart]) -> list[str]:
    """One line for each limit that answers exceeded."""
    return [
        f'{part.number} {part.kind} read in part by {name} ({part.characters} characters at most)'
        for name, part in beyond.items()
    ]


def _classes(scores: Scores) -> list[str]:
    """F1 of every class or action unit under the strict scoring."""
    strict = scores.strict
    spread = strict.per_au_interval or {}
    rows = [
        (f'AU{au}', f1, spread.get(au), strict.positives_per_au[au])
        for au, f1 in strict.per_au.items()
    ]
    rows += [
        (name, entry.f1, entry.f1_interval, entry.support)
        for name, entry in strict.per_class.items()
    ]
    lines = [f'{"strict":<12}{"F1":>24}{"labelled":>10}']
    return lines + [f'{n:<12}{_cell(f1, spread):>24}{labels:>10}' for n, f1, spread, labels in rows]


def _differences(against: Comparison) -> list[str]:
    lines = [f'{"difference":<12}' + ''.join(f'{name:>24}' for name in _NAMES.values())]
    for scoring, tests in against.items():
        cells = [_cell(tests[key].difference, tests[key].interval, sign='+') for key in _NAMES]
        values = [tests[key].p_value for key in _NAMES]
        p_values = ['-' if p is None else f'p = {p:.4f}' for p in values]
        lines.append(f'{scoring:<12}' + ''.join(f'{cell:>24}' for cell in cells))
        lines.append(f'{"":<12}' + ''.join(f'{p:>24}' for p in p_values))
    return lines


def _cell(score: float | None, interval: Sequence[float] | None, sign: str = '') -> str:
    if score is None:
        return '-'
    cell = f'{score:{sign}.2f}'
    return f'{cell} [{interval[0]:{sign}.1f}, {interval[1]:{sign}.1f}]' if interval else cell


if __name__ == '__main__':
    sys.exit(main())
