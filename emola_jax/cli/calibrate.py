"""The command that calibrates a run's probabilities.

python -m emola_jax.calibrate CHECKPOINT
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Sequence

import numpy as np

from emola_jax.cli import checkpoint_flags, command
from emola_jax.config import config_files
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import run_checksums, splits, trained
from emola_jax.experiment.trained import Trained
from emola_jax.experts import landmark_cache
from emola_jax.facs import EMOTIONS
from emola_jax.files import places
from emola_jax.files.json_values import JsonObject
from emola_jax.files.kept_rows import KeptRows
from emola_jax.files.locks import one_writer
from emola_jax.parallel import hosts
from emola_jax.predict import calibration
from emola_jax.predict.calibration import Calibration
from emola_jax.predict.load import load
from emola_jax.predict.model import Predictor
from emola_jax.reporting import run_page
from input_pipeline.records import UNLABELLED, Record

_DESCRIPTION = """\
Fits the probabilities of `python -m emola_jax.predict` on faces that the run was not trained on:
one temperature for the emotions, slope and offset for the action units. Landmarks are computed from
the pictures, as predict does. Writes calibration.json next to the checkpoint, prints the expected
calibration error before and after, and shows both in a run's report. After a kill the same command
goes on."""

ROWS_FOLDER = 'calibrate'
"""In the run's folder, while the command works: scores that a kill must not lose."""

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


def rows_identity(checkpoint: Trained, split: str) -> JsonObject:
    """What scores and answers of a split with computed landmarks depend on."""
    return {'run': checkpoint.identity, 'split': split}


def read_split(config: RunConfig, split: str) -> list[Record]:
    """The records of a split that a run of this config was not trained on.

    Raises:
      UserError: the data set has no such split, or the run was trained on it.
    """
    if split == config.data.train_split:
        raise UserError(
            f'--split={split}: the run was trained on it, so its probabilities lie there'
        )
    source = splits.open_split(config, config.model, split)
    return [source[index] for index in range(len(source))]


def main(argv: Sequence[str]) -> None:
    """Fits, writes and says what came out."""
    arguments = _parser().parse_args(argv)
    hosts.start(trained.cpu_devices(arguments.run))
    checkpoint = _with_data(checkpoint_flags.look(arguments.run, arguments), arguments.config)
    folder = checkpoint.folder
    places.check_output_folder(folder)
    renewed = run_checksums.renewed(folder) if checkpoint.is_run else contextlib.nullcontext()
    with one_writer(folder, 'calibrates'), renewed:
        _calibrate(checkpoint, arguments)


def _with_data(checkpoint: Trained, config: str | None) -> Trained:
    """A foreign checkpoint with the labelled faces of a config; a run has its own.

    Raises:
      UserError: a run with a config, a checkpoint without; or they do not go together.
    """
    if checkpoint.is_run:
        if config is not None:
            raise UserError(
                f'{checkpoint.folder}: is a run, whose config says it; leave --config out'
            )
        return checkpoint
    if config is None:
        raise UserError(
            f'{checkpoint.folder}: names no labelled faces; give them with --config, for example '
            '--config=configs/emola.py:task=mix'
        )
    values = RunConfig.from_config_dict(config_files.load(config))
    if missing := splits.missing(values):
        raise UserError('files that this config needs are missing:\n  ' + '\n  '.join(missing))
    template = checkpoint.config.data.template
    data = dataclasses.replace(values.data, template=template)
    return dataclasses.replace(
        checkpoint,
        config=dataclasses.replace(
            checkpoint.config,
            data=data,
            eval=dataclasses.replace(checkpoint.config.eval, split=values.eval.split),
        ),
    )


def _calibrate(checkpoint: Trained, arguments: argparse.Namespace) -> None:
    folder, identity = checkpoint.folder, checkpoint.identity
    split = arguments.split or ('validation' if checkpoint.is_run else checkpoint.config.eval.split)
    given = read_split(checkpoint.config, split)
    model = load(
        checkpoint,
        batch=arguments.batch,
        finder=checkpoint_flags.finder(arguments),
        quantize=arguments.quantize,
    )
    records, kept = landmark_cache.of_records(given, model.finder)
    kept_rows = KeptRows(folder / ROWS_FOLDER, rows_identity(checkpoint, split))
    scores = score(model, records, kept_rows)
    fitted = calibration.fit(
        scores.emotion_log_probs, scores.emotions, scores.au_log_odds, scores.aus
    )
    about = fitted.about | {'split': split, 'landmarks_not_found': int(kept.sum())}
    if 'au' in about:
        areas = calibration.au_areas(scores.au_log_odds, scores.aus, model.codes)
        about['au'] = about['au'] | {'roc_auc': areas}
    fitted = dataclasses.replace(fitted, about=about)
    written = [calibration.save(folder, fitted, identity)]
    kept_rows.remove()
    if checkpoint.is_run and (folder / run_page.REPORT_FILE).exists():
        written.append(run_page.write_report(folder))
    print(describe(fitted))
    print(f'written: {", ".join(map(str, written))}')


def describe(made: Calibration) -> str:
    """What was fitted, and the expected calibration error before and after, one line per task."""
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
    parser.add_argument(
        'run', type=places.given, metavar='CHECKPOINT', help=checkpoint_flags.CHECKPOINT
    )
    parser.add_argument(
        '--config',
        type=places.given,
        metavar='CONFIG',
        help='labelled faces for a checkpoint that is no run: the data section of a config file',
    )
    parser.add_argument(
        '--split',
        type=places.given,
        help='of the data set, never the trained one (validation; of a config, its eval.split)',
    )
    parser.add_argument(
        '--batch', type=command.positive, default=16, metavar='N', help='faces at a time (16)'
    )
    checkpoint_flags.add(parser)
    return parser


def cli() -> None:
    """Runs `main`; prints a user error as one sentence, exit status 1."""
    with command.exits_with_a_sentence('emola_jax.calibrate'):
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
