"""A run of random weights with everything that answers need."""

import json

from configs import tiny
from emola_jax.config.run import RunConfig
from tests.experiment.test_finished_run import make_run


def write_run(workdir):
    """Writes a checkpoint of the tiny config, and its config; returns the folder."""
    config = tiny.get_config()
    config.eval.max_new_tokens = {'emotion': 4, 'au': 4}
    make_run(workdir, RunConfig.from_config_dict(config).model)
    about = {'config': config.to_dict(), 'base': {'fingerprint': 'x'}}
    (workdir / 'config.json').write_text(json.dumps(about))
    return workdir
