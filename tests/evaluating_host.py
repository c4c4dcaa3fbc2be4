"""One process of an evaluation by several.

`python -m tests.evaluating_host WORKDIR MESH SETTINGS`: MESH is the shape, SETTINGS what
`evaluate_all` takes, both JSON. Who the processes are is in the environment
(`emola_jax.parallel.hosts`).
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from emola_jax.evaluation import evaluate
from emola_jax.files.whole import write_json
from emola_jax.metrics.scores import tasks_json
from emola_jax.parallel import hosts, sharding
from tests.tiny_experiment import questions, tiny_experiment


def evaluate_all(workdir, mesh, count, batch_size, temperature):
    """Answers, and answers blind, and leaves both scores in the workdir."""
    asked = {'batch_size': batch_size, 'sampler': {'temperature': temperature}}
    experiment = tiny_experiment(
        workdir, faces=questions(count), mesh=mesh, lively=True, evaluation=asked
    )
    for blind in (False, True):
        scores = evaluate.evaluate(experiment, experiment.trainable, step=0, blind=blind)
        if jax.process_index() == 0:
            write_json(workdir / f'scores_{blind}.json', tasks_json(scores))


if __name__ == '__main__':
    hosts.join_hosts()
    shape = json.loads(sys.argv[2])
    all_devices = np.asarray(jax.devices()).reshape(shape)
    evaluate_all(
        Path(sys.argv[1]),
        jax.sharding.Mesh(all_devices, sharding.MESH_AXES),
        **json.loads(sys.argv[3]),
    )
