import json

import pytest

from configs import tiny
from emola_jax import predict
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import finished_run
from emola_jax.experiment.trained import _labelled_aus
from emola_jax.files.whole import write_json
from emola_jax.formats.source import Source


def test_the_control_of_shuffled_landmarks_answers_for_no_photo(monkeypatch, tmp_path):
    config = tiny.get_config('shuffled')
    (tmp_path / 'checkpoints').mkdir()
    write_json(tmp_path / 'config.json', {'config': config.to_dict()})
    found = Source(tmp_path, 'run', RunConfig.from_config_dict(config).model, {})
    monkeypatch.setattr(finished_run, 'read_run', lambda workdir, **_: found)
    with pytest.raises(UserError, match="'shuffled', a control: it learnt the landmarks of other"):
        predict.load(tmp_path)


@pytest.mark.parametrize('noted', [None, [], [4, 9], 'absent'])
def test_what_a_run_noted_of_its_labels(tmp_path, noted):
    facts = {} if noted == 'absent' else {'labelled_aus': noted}
    (tmp_path / 'config.json').write_text(json.dumps(facts))
    expected = tuple(noted) if isinstance(noted, list) else ()
    assert _labelled_aus(tmp_path) == expected


@pytest.mark.parametrize('noted', [3, 'x', [[4]], [None], ['4'], [4.5], {'4': 1}, [{}], [999]])
def test_damaged_notes_of_a_run_are_one_sentence(tmp_path, noted):
    (tmp_path / 'config.json').write_text(json.dumps({'labelled_aus': noted}))
    with pytest.raises(
        UserError, match=r"config\.json: field 'labelled_aus' is .* expected a list"
    ):
        _labelled_aus(tmp_path)
