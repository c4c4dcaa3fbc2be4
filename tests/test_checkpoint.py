import shutil

import pytest

from emola_jax import experiment as experiments
from emola_jax import train
from emola_jax.checkpoint import Checkpoints, abstract_state
from emola_jax.errors import UserError
from emola_jax.optim import OptimiserConfig, make_optimiser
from tests.tiny_experiment import tiny_experiment


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_goes_on(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=4)
    train.train(experiment)
    for path in (tmp_path / 'checkpoints' / '4' / 'state').rglob('*'):
        if path.is_file() and path.parent.name == 'd':
            path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r'checkpoints/4: is damaged.*remove that folder'):
        train.train(tiny_experiment(tmp_path, steps=4))
    shutil.rmtree(tmp_path / 'checkpoints' / '4')
    assert int(train.train(tiny_experiment(tmp_path, steps=4)).step) == 4


def test_a_workdir_without_a_checkpoint_says_to_train_first(tmp_path):
    experiment = tiny_experiment(tmp_path, steps=4)
    state = train.new_state(experiment, make_optimiser(OptimiserConfig(), 4))
    checkpoints = Checkpoints(tmp_path, keep=1, metadata=experiments.metadata(experiment))
    with pytest.raises(UserError, match='no complete checkpoint; train first'):
        checkpoints.restore_trainable(abstract_state(state))
    checkpoints.close()
