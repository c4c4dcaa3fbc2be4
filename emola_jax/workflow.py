"""The stages of a run, each of which goes on where a killed run left it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import jax

from emola_jax.config import run as run_config
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.evaluation import evaluate as evaluation
from emola_jax.experiment import init_from, run_checksums
from emola_jax.experiment import prepare as experiments
from emola_jax.experiment.checkpoint import Checkpoints, abstract_state
from emola_jax.experiment.prepare import Experiment
from emola_jax.experiment.state import TrainState
from emola_jax.files import places
from emola_jax.files.locks import one_writer
from emola_jax.files.whole import read_json, write_json
from emola_jax.metrics.scores import RunScores
from emola_jax.reporting import run_page as reports
from emola_jax.reporting import terminal
from emola_jax.training import loop as training
from emola_jax.training import optimiser as optim


def run(config: RunConfig, workdir: Path) -> None:
    """Trains, evaluates, runs the control and writes the report; does nothing if that is done."""
    if is_finished(config, workdir):
        return
    experiment = experiments.prepare(config, workdir)
    state = training.train(experiment)
    _score_and_report(experiment, state)


def train(config: RunConfig, workdir: Path) -> None:
    """Trains, going on from the newest checkpoint."""
    _refuse_other_config(config, workdir)
    _refuse_evaluation(workdir)
    training.train(experiments.prepare(config, workdir))


def evaluate(config: RunConfig, workdir: Path) -> None:
    """Evaluates a checkpoint (`eval.checkpoint`), runs the control and writes the report.

    Where nothing was trained, what `init_from` names is evaluated.
    """
    experiment = experiments.prepare(config, workdir)
    steps = training.total_steps(config, training.planned(experiment))
    optimiser = optim.make_optimiser(config.train.optimiser, steps)
    state = training.new_state(experiment, optimiser)
    if init_from.can_be_answered_with(config, workdir):
        _note_evaluation(experiment)
        _score_and_report(experiment, state)
        return
    checkpoints = Checkpoints(
        workdir, keep=config.train.keep_checkpoints, metadata=experiments.metadata(experiment)
    )
    best = config.eval.checkpoint == 'best'
    state = checkpoints.restore_trainable(abstract_state(state), best=best)
    checkpoints.close()
    if jax.process_index() == 0 and int(state.step) < steps:
        print(f'{workdir}: answers with the checkpoint of step {int(state.step)} of {steps}')
    _score_and_report(experiment, state)


def report(workdir: Path) -> None:
    """Writes the report again from what the workdir holds."""
    reports.write_report(workdir)


def show(workdir: Path) -> None:
    """Prints the one-screen summary of what the workdir holds."""
    terminal.print_summary(workdir)


@contextlib.contextmanager
def alone_in(workdir: Path, doing: str) -> Iterator[None]:
    """Holds the folder while this run writes in it; process 0 does so for all its hosts.

    What it holds already is checked first, and summed up when the work is done (`run_checksums`).

    Raises:
      UserError: another process works there, nothing can be written there, or a file is damaged.
    """
    if jax.process_index() != 0:
        yield
        return
    places.check_output_folder(workdir)
    with one_writer(workdir, doing), run_checksums.renewed(workdir):
        yield


def check_trained(workdir: Path) -> None:
    """Finds out before anything is built whether there is something to evaluate or report.

    Raises:
      UserError: the folder holds no run.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f'{workdir}: is a file; expected the folder of a run')
    if not (workdir / 'config.json').is_file():
        raise UserError(
            f'{workdir}: holds no run (config.json and checkpoints/); train first (--mode=train) '
            'or give the --workdir of a trained run'
        )


def is_finished(config: RunConfig, workdir: Path) -> bool:
    """Whether `workdir` holds the finished run of this very config.

    Raises:
      UserError: it holds a run of another config.
    """
    _refuse_other_config(config, workdir)
    _refuse_evaluation(workdir)
    return (workdir / reports.REPORT_FILE).exists()


def _refuse_evaluation(workdir: Path) -> None:
    path = workdir / 'config.json'
    if path.exists() and (found := read_json(path).get(_EVALUATES)):
        raise UserError(f'{workdir}: holds the evaluation of {found}; give another --workdir')


def _score_and_report(experiment: Experiment, state: TrainState) -> None:
    workdir, step = experiment.workdir, int(state.step)
    scores = RunScores(evaluation.evaluate(experiment, state.trainable, step=step))
    if experiment.config.eval.control:
        control = evaluation.evaluate(experiment, state.trainable, step=step, blind=True)
        scores = dataclasses.replace(scores, control=control)
    if jax.process_index() == 0:
        write_json(workdir / evaluation.SCORES_FILE, scores.to_json())
        reports.write_report(workdir)


def _note_evaluation(experiment: Experiment) -> None:
    """Writes what a report reads; a training that finds it does not take the folder for its own."""
    path = experiment.workdir / 'config.json'
    if jax.process_index() == 0:
        facts = experiments.metadata(experiment)
        write_json(path, facts | {_EVALUATES: experiment.config.init_from})


_EVALUATES = 'evaluates'


def _refuse_other_config(config: RunConfig, workdir: Path) -> None:
    path = workdir / 'config.json'
    if not path.exists():
        return
    if changed := run_config.differing(_config_of(path), config):
        raise UserError(
            f'{workdir}: holds a run of another config (differing in {", ".join(changed)}); '
            f'{_OTHER_FOLDER}'
        )


def _config_of(path: Path) -> RunConfig:
    """The config that a run's config.json holds."""
    try:
        values = read_json(path)['config']
    except (UserError, KeyError, TypeError) as error:
        fault = f' ({error})' if isinstance(error, UserError) else ''
        raise UserError(
            f"{path}: expected the JSON that a run writes, with the field 'config'{fault}; "
            f'{_OTHER_FOLDER}'
        ) from None
    try:
        return RunConfig.of_run(values, str(path))
    except UserError as error:
        raise UserError(f'{error}; {_OTHER_FOLDER}') from None


_OTHER_FOLDER = 'give another --workdir, or remove the folder to start again'
