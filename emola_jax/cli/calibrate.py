"""The command that makes a run's probabilities hold.

python -m emola_jax.calibrate RUN
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emola_jax.cli import command
from emola_jax.errors import UserError
from emola_jax.experiment import run_checksums, splits
from emola_jax.experts import landmark_cache
from emola_jax.facs import EMOTIONS
from emola_jax.files import places
from emola_jax.files.kept_rows import KeptRows
from emola_jax.files.locks import one_writer
from emola_jax.parallel import hosts
from emola_jax.predict import calibration
from emola_jax.predict.calibration import Calibration
from emola_jax.predict.load import identity, load, read_config
from emola_jax.predict.model import Predictor
from emola_jax.reporting import run_page
from input_pipeline.records import UNLABELLED, Record

_DESCRIPTION = """\
Fits the probabilities of `python -m emola_jax.predict` on faces that the run was not trained on:
one temperature for the emotions, slope and offset for the action units. Landmarks are computed from
the pictures, as predict does. Writes calibration.json into RUN, prints the expected calibration
error before and after, and shows both in RUN's report. After a kill the same command goes on."""

ROWS_FOLDER = 'calibrate'
"""Beside the run, while the command works: scores that a kill shall not cost."""

_Ask = Callable[[Sequence[Record]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Scores:
    """A model's own probabilities of faces whose labels are known.

    Attributes:
      emotion_log_probs: f64[n, 7].
      emotions: i64[n], labels.
      au_log_odds: f64[m, A].
      aus: bool[m, A], labels.
    """

    emotion_log_probs: np.ndarray
    emotions: np.ndarray
    au_log_odds: np.ndarray
    aus: np.ndarray


def score(model: Predictor, records: Sequence[Record], kept: KeptRows) -> Scores:
    """Scores every record that has the label of its task, whole batches at a time.

    Args:
      model: of the run.
      records: of both tasks, in any order.
      kept: where scores of an earlier start are.
    """
    of_emotion = [r for r in records if r.task == 'emotion' and r.emotion != UNLABELLED]
    of_aus = [r for r in records if r.task == 'au']

    def rows(task: str, chosen: list[Record], ask: _Ask, width: int) -> np.ndarray:
        def work(batch: Sequence[Record]) -> list[list[float]]:
            return [list(map(float, row)) for row in ask(batch)]

        found = kept.map(f'{task} scores', chosen, model.batch, work)
        return np.array(found, np.float64).reshape(-1, width)

    return Scores(
        rows('emotion', of_emotion, model.emotion_scores, len(EMOTIONS)),
        np.array([r.emotion for r in of_emotion], np.int64),
        rows('au', of_aus, model.au_scores, len(model.codes)),
        np.array([[code in r.aus for code in model.codes] for r in of_aus], bool).reshape(
            -1, len(model.codes)
        ),
    )


def rows_identity(workdir: Path, split: str) -> dict[str, Any]:
    """What scores and answers of a run's split with computed landmarks depend on."""
    return {'run': identity(workdir), 'split': split}


def read_split(workdir: Path, split: str) -> list[Record]:
    """The records of a split that the run was not trained on.

    Raises:
      UserError: the data set has no such split, or the run was trained on it.
    """
    config = read_config(workdir)
    if split == config.data.train_split:
        raise UserError(
            f'--split={split}: the run was trained on it, so its probabilities lie there'
        )
    source = splits.open_split(config, config.model, split)
    return [source[index] for index in range(len(source))]


def main(argv: Sequence[str]) -> None:
    """Fits, writes and says what came out."""
    arguments = _parser().parse_args(argv)
    workdir = arguments.run
    hosts.start(read_config(workdir).cpu_devices)
    places.check_output_folder(workdir)
    with one_writer(workdir, 'calibrates'), run_checksums.renewed(workdir):
        _calibrate(workdir, arguments)


def _calibrate(workdir: Path, arguments: argparse.Namespace) -> None:
    model = load(workdir, batch=arguments.batch)
    given = read_split(workdir, arguments.split)
    records, kept = landmark_cache.of_records(given, model.finder)
    kept_rows = KeptRows(workdir / ROWS_FOLDER, rows_identity(workdir, arguments.split))
    scores = score(model, records, kept_rows)
    fitted = calibration.fit(
        scores.emotion_log_probs, scores.emotions, scores.au_log_odds, scores.aus
    )
    about = fitted.about | {'split': arguments.split, 'landmarks_not_found': int(kept.sum())}
    if 'au' in about:
        areas = calibration.au_areas(scores.au_log_odds, scores.aus, model.codes)
        about['au'] = about['au'] | {'roc_auc': areas}
    fitted = dataclasses.replace(fitted, about=about)
    written = [calibration.save(workdir, fitted, identity(workdir))]
    kept_rows.remove()
    if (workdir / run_page.REPORT_FILE).exists():
        written.append(run_page.write_report(workdir))
    print(describe(fitted))
    print(f'written: {", ".join(map(str, written))}')


def describe(made: Calibration) -> str:
    """What was fitted, and the expected calibration error before and after, a line a task."""
    lines = []
    settings = {
        'emotion': f'temperature {made.temperature:.2f}',
        'au': f'slope {made.slope:.2f}, offset {made.offset:+.2f}',
    }
    for task, setting in settings.items():
        if task in made.about:
            about = made.about[task]
            lines.append(
                f'{task}: {setting}; expected calibration error on {about["faces"]} faces '
                f'{about["ece_before"]:.3f} before, {about["ece_after"]:.3f} after'
            )
    return '\n'.join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'python -m emola_jax.calibrate',
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('run', type=places.path, metavar='RUN', help='folder of a trained run')
    parser.add_argument(
        '--split', default='validation', help='of its data set; never the trained one (validation)'
    )
    parser.add_argument(
        '--batch', type=command.positive, default=16, metavar='N', help='faces at a time (16)'
    )
    return parser


def cli() -> None:
    """Runs `main`; prints a user error as one sentence, exit status 1."""
    with command.exits_with_a_sentence('emola_jax.calibrate'):
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
