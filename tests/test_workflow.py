import pytest

from emola_jax import workflow
from emola_jax.errors import UserError
from tests.tiny_experiment import tiny_config


@pytest.mark.parametrize('text', ['{', '{}', '', '[]', '{"config": 3}', 'null', '\xff'])
def test_a_damaged_config_of_a_workdir_is_named(tmp_path, text):
    (tmp_path / 'config.json').write_text(text)
    with pytest.raises(UserError, match=r"config\.json: .*'config'.*; give another --workdir"):
        workflow.is_finished(tiny_config(), tmp_path)
