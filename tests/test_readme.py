"""The README's commands that need an extra, where it is not installed.

`python -m tests.readme_commands` runs all of the README's lines, at toy size, which takes minutes.
"""

import pytest

from tests import readme_commands
from tests.readme_commands import ASKS_TO_INSTALL, CHECKOUT

LINES = readme_commands.lines((CHECKOUT / 'README.md').read_text(encoding='utf-8'))

ASKING = [
    line
    for line in LINES
    if 'main --config=configs/emola.py' in line or '--to=emola' in line or '--to=hf' in line
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('readme')
    readme_commands.prepare(folder)
    return folder


def test_the_readme_has_the_commands_that_are_tried():
    assert len(LINES) > 15
    assert len(ASKING) == 5
    for part in ('make run', 'emola_jax.predict', 'emola_jax.convert', 'emola_jax.score'):
        assert any(part in line for line in LINES), part


@pytest.mark.parametrize('line', ASKING)
def test_what_to_install_is_said_before_anything_heavy_is_imported(folder, line):
    hidden = ('torch', 'peft', 'jax', 'transformers')
    outcome = readme_commands.run(line, folder, hidden)
    assert outcome.kind == ASKS_TO_INSTALL, outcome.output[-2000:]
