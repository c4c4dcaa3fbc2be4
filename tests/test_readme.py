"""The README's commands in an environment without PyTorch, at toy size (`readme_commands`)."""

import pytest

from tests import readme_commands
from tests.readme_commands import ASKS_TO_INSTALL, CHECKOUT, ENDS

pytestmark = pytest.mark.slow

LINES = readme_commands.lines((CHECKOUT / 'README.md').read_text(encoding='utf-8'))

ASKING = ('configs/emola.py', '--to=emola', '--to=hf')
"""What only works with PyTorch (or libtpu, for `compile`): parts of such lines."""

LONG = ('make ablation', ':long', 'steps=50')
"""Minutes even at toy size, and the same command as others: the script runs them, the suite not."""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('readme')
    readme_commands.prepare(folder)
    return folder


def test_the_readme_has_the_commands_that_are_tried():
    assert len(LINES) > 15
    for part in ('make run', 'emola_jax.predict', 'emola_jax.convert', 'emola_jax.score'):
        assert any(part in line for line in LINES), part


@pytest.mark.parametrize('line', [line for line in LINES if not any(p in line for p in LONG)])
def test_a_line_reaches_its_end_or_says_what_to_install(folder, line):
    """In the README's order: later lines read what earlier ones wrote."""
    asks = any(part in line for part in ASKING)
    # Nothing heavy is imported before that is said.
    hidden = ('torch', 'peft', 'libtpu') + (('jax', 'transformers') if asks else ())
    outcome = readme_commands.run(line, folder, hidden)
    assert outcome.kind == (ASKS_TO_INSTALL if asks else ENDS), outcome.output[-2000:]
