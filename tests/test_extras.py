"""The line that installs an extra is the one of docs/install.md."""

import sys
from pathlib import Path

import pytest

from emola_jax import extras

INSTALLING = Path(__file__).parents[1] / 'docs/install.md'


@pytest.mark.parametrize('has_makefile', [True, False])
@pytest.mark.parametrize('own', [True, False])
@pytest.mark.parametrize(
    ('version', 'constraints'),
    [((3, 11, 7), 'constraints.txt'), ((3, 13, 0), 'constraints-py312.txt')],
)
def test_make_in_a_checkout_with_its_own_environment_and_pip_elsewhere(
    has_makefile, own, version, constraints, tmp_path, monkeypatch
):
    monkeypatch.setattr(extras, '_CHECKOUT', tmp_path)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / '.venv' if own else tmp_path / 'other'))
    monkeypatch.setattr(sys, 'executable', '/my env/python')
    monkeypatch.setattr(sys, 'version_info', version)
    if has_makefile:
        (tmp_path / 'Makefile').touch()
    by_make = 'make setup EXTRAS=convert'
    by_pip = f"pip install -c {constraints} -e '.[convert]'"
    said = extras.install('convert')
    assert said == (by_make if has_makefile and own else f"'/my env/python' -m {by_pip}")
    documented = INSTALLING.read_text()
    assert by_make in documented and by_pip in documented
