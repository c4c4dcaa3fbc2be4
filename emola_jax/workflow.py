"""The stages of a run, each of which goes on where a killed run left it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import ml_collections

from emola_jax import evaluate as evaluation
from emola_jax import experiment as experiments
from emola_jax import optim, summary
from emola_jax import report as reports
from emola_jax import train as training
from emola_jax.checkpoint import Checkpoints, abstract_state
from emola_jax.errors import UserError
from emola_jax.eval_plan import EvalConfig
from emola_jax.experiment import Experiment
from emola_jax.files import write_json
from emola_jax.train_state import TrainState


def run(config: ml_collections.ConfigDict, workdir: Path) -> None:
    """Trains, evaluates, runs the control and writes the report; does nothing if that is done."""
    if is_finished(config, workdir):
        return
    experiment = experiments.prepare(config, workdir)
    state = training.train(experiment)
    _score_and_report(experiment, state)


def train(config: ml_collections.ConfigDict, workdir: Path) -> None:
    """Trains, going on from the newest checkpoint."""
    _refuse_other_config(config, workdir)
    training.train(experiments.prepare(config, workdir))


def evaluate(config: ml_collections.ConfigDict, workdir: Path) -> None:
    """Evaluates a checkpoint (`eval.checkpoint`), runs the control and writes the report."""
    experiment = experiments.prepare(config, workdir)
    steps = training.total_steps(config, training.planned(experiment))
    optimiser = optim.make_optimiser(optim.OptimiserConfig(**config.train.optimiser), steps)
    state = training.new_state(experiment, optimiser)
    checkpoints = Checkpoints(
        workdir, keep=config.train.keep_checkpoints, metadata=experiments.metadata(experiment)
    )
    best = EvalConfig.from_config_dict(config.eval).checkpoint == 'best'
    state = checkpoints.restore_trainable(abstract_state(state), best=best)
    checkpoints.close()
    _score_and_report(experiment, state)


def report(workdir: Path) -> None:
    """Writes the report anew from what the workdir holds."""
    reports.write_report(workdir)


def show(workdir: Path) -> None:
    """Prints the one-screen summary of what the workdir holds."""
    summary.print_summary(workdir)


def is_finished(config: ml_collections.ConfigDict, workdir: Path) -> bool:
    """Whether `workdir` holds the finished run of this very config.

    Raises:
      UserError: it holds a run of another config.
    """
    _refuse_other_config(config, workdir)
    return (workdir / reports.REPORT_FILE).exists()


def _score_and_report(experiment: Experiment, state: TrainState) -> None:
    workdir, step = experiment.workdir, int(state.step)
    scores: dict[str, Any] = evaluation.evaluate(experiment, state.trainable, step=step)
    if experiment.config.eval.control:
        scores['control'] = evaluation.evaluate(experiment, state.trainable, step=step, blind=True)
    if jax.process_index() == 0:
        write_json(workdir / evaluation.SCORES_FILE, scores)
        reports.write_report(workdir)


def _refuse_other_config(config: ml_collections.ConfigDict, workdir: Path) -> None:
    path = workdir / 'config.json'
    if not path.exists():
        return
    try:
        then = _flatten(json.loads(path.read_text())['config'])
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path}: expected the JSON that a run writes, with the field 'config' ({error}); give "
            'another --workdir, or remove the folder to start anew'
        ) from None
    now = _flatten(json.loads(config.to_json_best_effort()))
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        raise UserError(
            f'{workdir}: holds a run of another config (differing in {", ".join(changed)}); '
            'give another --workdir, or remove the folder to start anew'
        )


def _flatten(tree: Any, prefix: str = '') -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix.rstrip('.'): tree}
    return {k: v for key in tree for k, v in _flatten(tree[key], f'{prefix}{key}.').items()}
