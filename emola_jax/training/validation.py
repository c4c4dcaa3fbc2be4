"""Scores of a training while it runs: answers to a part of a split that it does not train on."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from jax.experimental import multihost_utils

from emola_jax.evaluation import evaluate as evaluation
from emola_jax.experiment.prepare import Experiment
from emola_jax.files.whole import write_json
from emola_jax.metrics.scores import RunScores
from emola_jax.models.emola import Params


def is_due(experiment: Experiment, step: int) -> bool:
    """Whether the config asks for a validation after this step."""
    every = experiment.config.train.validate.every
    return every > 0 and step % every == 0


def score(experiment: Experiment, trainable: Params, step: int) -> float:
    """S_rege, the mean over the tasks, strict scoring; the same number on every host.

    Answers and scores are left in workdir/validation/STEP.
    """
    settings = experiment.config.train.validate
    config = experiment.config.with_eval(split=settings.split, limit=settings.limit)
    workdir = experiment.workdir / 'validation' / str(step)
    asked = dataclasses.replace(experiment, config=config, workdir=workdir)
    scores = evaluation.evaluate(asked, trainable, step=step)
    mean = 0.0
    if jax.process_index() == 0:
        write_json(workdir / evaluation.SCORES_FILE, RunScores(scores).to_json())
        both = [of_task.strict.s_rege for of_task in scores.values()]
        mean = float(np.mean([np.nan if s_rege is None else s_rege for s_rege in both]))
    return float(multihost_utils.broadcast_one_to_all(np.float32(mean)))
