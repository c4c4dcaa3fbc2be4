"""What is installed is pinned by hash, as setup.py asks, and the locks name no place."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / 'requirements'
SERIES = {'py311': ('3.11',), 'py312': ('3.12', '3.13')}
"""Folder of locks -> Python versions that it is for."""

CONSTRAINTS = {'py311': ROOT / 'constraints.txt', 'py312': ROOT / 'constraints-py312.txt'}
HERE = 'py311' if sys.version_info < (3, 12) else 'py312'
"""What the packages of this environment are of."""

each_series = pytest.mark.parametrize('series', SERIES)

CHAINS = {
    'RUNTIME': ('build', 'runtime'),
    'CONVERT': ('build', 'runtime', 'convert', 'torch'),
    'DEV': ('build', 'runtime', 'convert', 'torch', 'dev'),
    'GPU': ('build', 'runtime', 'gpu'),
    'TPU': ('build', 'runtime', 'tpu'),
}
"""By list of setup.py: the locks that hold all that it needs."""

FILES = ('build', 'runtime', 'convert', 'torch', 'dev', 'gpu', 'tpu')
TORCH_WITHOUT_CUDA, TOOLS = LOCKS / 'py311/torch-cpu.txt', LOCKS / 'tools.txt'
EVERY_FILE = (
    *(LOCKS / series / f'{lock}.txt' for series in SERIES for lock in FILES),
    TORCH_WITHOUT_CUDA,
    TOOLS,
)


def lists() -> dict[str, list[str]]:
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    found = re.findall(r'^([A-Z]+) = (\[.*?\])$', text, re.M | re.S)
    return {name: ast.literal_eval(block) for name, block in found}


def pins(path: Path) -> dict[str, str]:
    """Version by package, of a lock or of constraints."""
    text = re.sub(r'\\\n', ' ', path.read_text(encoding='utf-8'))
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith('#'):
            package, version = re.fullmatch(
                r'([\w.-]+)==([\w.+]+)(?: ;.*?)?(?: +--.*)?', line
            ).groups()
            assert package not in found, f'{path}: {package} twice'
            found[canonicalize_name(package)] = version
    return found


def chained(locks: tuple[str, ...], series: str) -> dict[str, str]:
    return {
        package: version
        for lock in locks
        for package, version in pins(LOCKS / series / f'{lock}.txt').items()
    }


def asked(name: str, python: str) -> list[Requirement]:
    """Of a list of setup.py: what a Python version needs."""
    every = map(Requirement, lists()[name])
    here = {'python_version': python}
    return [one for one in every if one.marker is None or one.marker.evaluate(here)]


@pytest.mark.parametrize('name', CHAINS)
@each_series
def test_each_requirement_is_locked_at_a_version_that_setup_allows(name, series):
    held = chained(CHAINS[name], series)
    for python in SERIES[series]:
        for requirement in asked(name, python):
            version = held[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f'{requirement}: {version}'


@pytest.mark.parametrize('python', ['3.11', '3.12', '3.13', '3.14'])
def test_a_package_has_one_range_for_each_python(python):
    for name in CHAINS:
        names = [one.name for one in asked(name, python)]
        every = {Requirement(one).name for one in lists()[name]}
        assert sorted(names) == sorted(every), name


NEEDS = {
    'flax': {'0.12.8': '3.11', '0.12.9': '3.12', '0.12.10': '3.12', '0.12.12': '3.12'},
    'jax': {
        **dict.fromkeys(('0.10.0', '0.10.1', '0.10.2'), '3.11'),
        **dict.fromkeys(('0.11.0', '0.11.1', '0.11.2', '0.12.0', '0.12.0.1'), '3.12'),
    },
}
"""Releases and the oldest Python of each."""

FAILS_AT_IMPORT = {
    *(('0.12.8', jax) for jax in ('0.11.1', '0.11.2', '0.12.0', '0.12.0.1')),
    *(('0.12.9', jax) for jax in ('0.11.2', '0.12.0', '0.12.0.1')),
}
"""Of all pairs of these Flax and JAX releases, tried on Python 3.13: jax.experimental.hijax lacks
MutableHiType or HiPrimitive. docs/decisions.md has the table."""


@pytest.mark.parametrize('python', ['3.11', '3.12', '3.13'])
def test_setup_admits_pairs_of_flax_and_jax_and_none_that_fails_at_import(python):
    ranges = {one.name: one.specifier for one in asked('RUNTIME', python)}
    admitted = {
        name: [
            version
            for version, oldest in NEEDS[name].items()
            if float(oldest) <= float(python) and ranges[name].contains(version)
        ]
        for name in NEEDS
    }
    pairs = {(flax, jax) for flax in admitted['flax'] for jax in admitted['jax']}
    assert len(pairs) >= 3
    assert not pairs & FAILS_AT_IMPORT


def test_locks_hold_jax_0_10_for_python_3_11_and_the_newest_known_for_later_ones():
    old, new = (chained(('runtime',), series) for series in SERIES)
    assert (old['jax'], old['flax']) == ('0.10.2', '0.12.8')
    assert (new['jax'], new['flax']) == (list(NEEDS['jax'])[-1], list(NEEDS['flax'])[-1])


def test_setup_has_these_lists_and_extras_and_no_other():
    assert set(lists()) == set(CHAINS)
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    extras = re.search(r'extras_require=\{(.*?)\}', text, re.S).group(1)
    assert set(re.findall(r"'(\w+)':", extras)) == {'gpu', 'tpu', 'convert', 'dev'}


@pytest.mark.parametrize('name', ['RUNTIME', 'CONVERT', 'DEV'])
def test_what_installed_packages_ask_for_is_locked_too(name):
    held = chained(CHAINS[name], HERE)
    # PyTorch's build without CUDA, which may be installed here, asks for less than the other.
    waiting, seen = [(Requirement(one).name, '') for one in lists()[name]], set()
    while waiting:
        package, extra = waiting.pop()
        if (package, extra) in seen:
            continue
        seen.add((package, extra))
        for text in importlib.metadata.requires(package) or ():
            asked = Requirement(text)
            if asked.marker is None or asked.marker.evaluate({'extra': extra}):
                version = held.get(canonicalize_name(asked.name), '')
                assert asked.specifier.contains(version), f'{package} asks for {asked}: {version!r}'
                waiting += [(asked.name, one) for one in ('', *asked.extras)]
    assert len(seen) > 30


@pytest.mark.parametrize('lock', EVERY_FILE, ids=lambda path: f'{path.parent.name}-{path.stem}')
def test_every_package_has_hashes_and_no_place(lock):
    text = lock.read_text(encoding='utf-8')
    blocks = re.findall(r'^[\w.-]+==.*(?:\n    .*)*', text, re.M)
    assert len(blocks) == len(pins(lock)) > 0
    for block in blocks:
        assert re.search(r'--hash=sha256:[0-9a-f]{64}(?: \\)?$', block, re.M), block
    assert not re.search(r'://|--(?!hash=sha256:)|@|^\s*[./]|\.(?:org|com|io)\b', text, re.M)


def test_there_is_no_other_lock():
    assert set(LOCKS.rglob('*.txt')) == set(EVERY_FILE)
    assert set(ROOT.glob('constraints*')) == set(CONSTRAINTS.values())


@each_series
def test_locks_and_constraints_hold_the_same_versions(series):
    constraints = pins(CONSTRAINTS[series])
    assert chained(FILES, series) == constraints
    assert sum(
        len(pins(LOCKS / series / f'{lock}.txt')) for lock in FILES if lock not in ('gpu', 'tpu')
    ) <= (len(constraints))


def test_torch_without_cuda_is_of_the_same_version():
    constraints = pins(CONSTRAINTS['py311'])
    assert pins(TORCH_WITHOUT_CUDA) == {'torch': f'{constraints["torch"]}+cpu'}


@each_series
def test_installers_of_the_environment_are_not_those_with_known_holes(series):
    held = chained(('build',), series)
    assert set(held) == {'pip', 'setuptools'}
    assert Requirement('pip>=25.3').specifier.contains(held['pip'])
    assert Requirement('setuptools>=78.1.1').specifier.contains(held['setuptools'])


@each_series
def test_no_tensorflow_among_the_pins(series):
    assert 'tensorflow' not in pins(CONSTRAINTS[series])


@pytest.fixture
def checkout(tmp_path) -> Path:
    """What make reads of the checkout, in a folder without an environment."""
    folder = tmp_path / 'checkout'
    folder.mkdir()
    for name in ('Makefile', 'setup.py', 'pyproject.toml', 'requirements'):
        (folder / name).symlink_to(ROOT / name)
    return folder


def plan(checkout: Path, *arguments: str) -> str:
    """The commands that make would run."""
    variables = {key: os.environ[key] for key in ('PATH', 'HOME') if key in os.environ}
    return subprocess.run(
        ['make', '-n', *arguments],
        cwd=checkout,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def python_of_version(path: Path, version: str) -> Path:
    """A program that says that it is a Python of a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho {version}\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    'target', ['setup', 'setup EXTRAS=convert', 'setup EXTRAS=gpu', 'lint', 'lock']
)
@each_series
def test_make_installs_nothing_without_its_hash(target, series, checkout):
    python = python_of_version(checkout.parent / 'python', SERIES[series][-1])
    planned = plan(checkout, *target.split(), f'PYTHON={python}')
    installs = re.findall(r'-m pip install(.*)', planned.replace('\\\n', ' '))
    assert len(installs) >= 2, planned
    for options in installs:
        is_ours = re.search(r'--no-deps --no-build-isolation -e \.\s*$', options)
        locked = rf'--no-deps .*--require-hashes -r requirements/(?:{series}/[\w-]+|tools)\.txt'
        assert is_ours or re.search(locked, options), options
    assert sum('--require-hashes' not in options for options in installs) == (target != 'lock')


def series_of(planned: str) -> set[str]:
    return set(re.findall(r'-r requirements/(py\d+)/', planned))


@pytest.mark.parametrize(
    ('asked', 'there', 'chosen'),
    [
        ('3.11', None, 'py311'),
        ('3.12', None, 'py312'),
        ('3.13', None, 'py312'),
        ('3.14', None, 'py312'),
        (None, '3.11', 'py311'),
        (None, '3.13', 'py312'),
        ('3.13', '3.11', 'py312'),
        ('3.11', '3.13', 'py311'),
    ],
)
def test_the_python_that_is_asked_for_or_there_chooses_the_locks(asked, there, chosen, checkout):
    if there is not None:
        python_of_version(checkout / '.venv/bin/python', there)
    options = []
    if asked is not None:
        options = [f'PYTHON={python_of_version(checkout.parent / "python", asked)}']
    planned = plan(checkout, 'test', *options)
    assert series_of(planned) == {chosen}
    assert f'mypy --python-version={asked or there} ' in planned


@pytest.mark.parametrize(('asked', 'again'), [('3.12', True), ('3.13', False), (None, False)])
def test_an_environment_of_another_python_is_made_again(asked, again, checkout):
    python_of_version(checkout / '.venv/bin/python', '3.13')
    for name in ('runtime', 'convert', 'dev'):
        (checkout / f'.venv/{name}.stamp').touch()
    options = []
    if asked is not None:
        options = [f'PYTHON={python_of_version(checkout.parent / "python", asked)}']
    planned = plan(checkout, 'test', *options)
    assert ('false || ' in planned) == again
    assert ('pip install' in planned) == again


@each_series
def test_the_documented_command_of_constraints_fits_the_python(series):
    text = (ROOT / 'docs/install.md').read_text(encoding='utf-8')
    assert f'-c {CONSTRAINTS[series].name} ' in text
