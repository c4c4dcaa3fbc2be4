"""One process of a training by several.

`python -m tests.training_host WORKDIR SHAPE SETTINGS`: SHAPE is the mesh, SETTINGS what `train_all`
takes, both JSON. Who the processes are is in the environment (`emola_jax.parallel.hosts`).
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from unittest import mock

import jax
import numpy as np
from absl import flags

from emola_jax.cli import command
from emola_jax.parallel import hosts, sharding
from emola_jax.training import loop
from tests.tiny_experiment import tiny_experiment


def train_all(workdir, mesh, *, segments=1, workers=0, pause=0.0, **settings):
    """Trains, and notes which records this process read for each row of each step.

    `pause` seconds before every batch give a test the time to interfere.
    """
    experiment = tiny_experiment(workdir, mesh=mesh, segments=segments, **settings)
    data = experiment.data
    pipeline = dataclasses.replace(data.encoder.config, workers=workers, landmark_noise=0.03)
    encoder = dataclasses.replace(data.encoder, config=pipeline)
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(data, encoder=encoder))
    original, notes = loop.train_batches, workdir / f'read_{jax.process_index()}.jsonl'

    class Noted:
        def __init__(self, batches, rows, first):
            self._batches, self._rows, self._step = iter(batches), rows, first

        def __iter__(self):
            return self

        def __next__(self):
            time.sleep(pause)
            batch = next(self._batches)
            self._step += 1
            with notes.open('a') as file:
                read = dict(zip(self._rows, batch['record_index'].tolist(), strict=True))
                file.write(json.dumps({'step': self._step, 'read': read}) + '\n')
            return batch

        def close(self):
            self._batches.close()

    def noted(source, coder, plan, *, rows, first):
        return Noted(original(source, coder, plan, rows=rows, first=first), rows, first)

    with mock.patch.object(loop, 'train_batches', noted):
        return loop.train(experiment)


def read_by(workdir):
    """{(step, row): records} of all processes; a row that several hold is the same for each."""
    found = {}
    for notes in sorted(workdir.glob('read_*.jsonl')):
        for line in map(json.loads, notes.read_text().splitlines()):
            for row, records in line['read'].items():
                place = (line['step'], int(row))
                assert found.setdefault(place, records) == records
    return found


def main(workdir, shape, settings):
    hosts.join_hosts()
    with hosts.all_or_none():
        devices = np.asarray(jax.devices()).reshape(json.loads(shape))
        mesh = jax.sharding.Mesh(devices, sharding.MESH_AXES)
        train_all(Path(workdir), mesh, **json.loads(settings))


if __name__ == '__main__':
    flags.FLAGS.mark_as_parsed()  # grain's reading processes ask for them
    with command.exits_with_a_sentence():
        main(*sys.argv[1:])
