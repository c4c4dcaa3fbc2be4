import pytest

from configs import tiny
from emola_jax import predict, trained
from emola_jax.convert.source import Source
from emola_jax.errors import UserError
from emola_jax.files import write_json
from emola_jax.models.config import EmolaConfig


def test_the_control_of_shuffled_landmarks_answers_for_no_photo(monkeypatch, tmp_path):
    config = tiny.get_config('shuffled')
    (tmp_path / 'checkpoints').mkdir()
    write_json(tmp_path / 'config.json', {'config': config.to_dict()})
    found = Source(tmp_path, 'run', EmolaConfig.from_config_dict(config.model), {})
    monkeypatch.setattr(trained, 'read_run', lambda workdir, **_: found)
    with pytest.raises(UserError, match="'shuffled', a control: it learnt the landmarks of other"):
        predict.load(tmp_path)
