"""What is installed is pinned by hash, as setup.py asks, and the locks name no place."""

import ast
import importlib.metadata
import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / 'requirements'
CHAINS = {
    'RUNTIME': ('build', 'runtime'),
    'CONVERT': ('build', 'runtime', 'convert', 'torch'),
    'DEV': ('build', 'runtime', 'convert', 'torch', 'dev'),
    'GPU': ('build', 'runtime', 'gpu'),
    'TPU': ('build', 'runtime', 'tpu'),
}
"""By list of setup.py: the locks that hold all that it needs."""

FILES = ('build', 'runtime', 'convert', 'torch', 'torch-cpu', 'dev', 'gpu', 'tpu', 'tools')


def lists() -> dict[str, list[str]]:
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    found = re.findall(r'^([A-Z]+) = (\[.*?\])$', text, re.M | re.S)
    return {name: ast.literal_eval(block) for name, block in found}


def pins(path: Path) -> dict[str, str]:
    """Version by package, of a lock or of constraints.txt."""
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


def chained(locks: tuple[str, ...]) -> dict[str, str]:
    return {
        package: version
        for lock in locks
        for package, version in pins(LOCKS / f'{lock}.txt').items()
    }


CONSTRAINTS = pins(ROOT / 'constraints.txt')


@pytest.mark.parametrize('name', CHAINS)
def test_each_requirement_is_locked_at_a_version_that_setup_allows(name):
    held = chained(CHAINS[name])
    for requirement in map(Requirement, lists()[name]):
        version = held[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f'{requirement}: {version}'


def test_setup_has_these_lists_and_extras_and_no_other():
    assert set(lists()) == set(CHAINS)
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    extras = re.search(r'extras_require=\{(.*?)\}', text, re.S).group(1)
    assert set(re.findall(r"'(\w+)':", extras)) == {'gpu', 'tpu', 'convert', 'dev'}


@pytest.mark.parametrize('name', ['RUNTIME', 'CONVERT', 'DEV'])
def test_what_installed_packages_ask_for_is_locked_too(name):
    held = chained(CHAINS[name])
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


@pytest.mark.parametrize('lock', FILES)
def test_every_package_has_hashes_and_no_place(lock):
    text = (LOCKS / f'{lock}.txt').read_text(encoding='utf-8')
    blocks = re.findall(r'^[\w.-]+==.*(?:\n    .*)*', text, re.M)
    assert len(blocks) == len(pins(LOCKS / f'{lock}.txt')) > 0
    for block in blocks:
        assert re.search(r'--hash=sha256:[0-9a-f]{64}(?: \\)?$', block, re.M), block
    assert not re.search(r'://|--(?!hash=sha256:)|@|^\s*[./]|\.(?:org|com|io)\b', text, re.M)


def test_locks_and_constraints_hold_the_same_versions():
    names = [lock for lock in FILES if lock not in ('tools', 'torch-cpu')]
    assert chained(tuple(names)) == CONSTRAINTS
    assert sum(
        len(pins(LOCKS / f'{lock}.txt')) for lock in names if lock not in ('gpu', 'tpu')
    ) <= (len(CONSTRAINTS))
    assert chained(('torch-cpu',)) == {'torch': f'{CONSTRAINTS["torch"]}+cpu'}


def test_installers_of_the_environment_are_not_those_with_known_holes():
    held = chained(('build',))
    assert set(held) == {'pip', 'setuptools'}
    assert Requirement('pip>=25.3').specifier.contains(held['pip'])
    assert Requirement('setuptools>=78.1.1').specifier.contains(held['setuptools'])


def test_no_tensorflow_among_the_pins():
    assert 'tensorflow' not in CONSTRAINTS


@pytest.mark.parametrize(
    'target', ['setup', 'setup EXTRAS=convert', 'setup EXTRAS=gpu', 'lint', 'lock']
)
def test_make_installs_nothing_without_its_hash(target, tmp_path):
    folder = tmp_path / 'checkout'
    folder.mkdir()
    for name in ('Makefile', 'setup.py', 'pyproject.toml', 'requirements'):
        (folder / name).symlink_to(ROOT / name)
    variables = {key: os.environ[key] for key in ('PATH', 'HOME') if key in os.environ}
    plan = subprocess.run(
        ['make', '-n', *target.split()],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installs = re.findall(r'-m pip install(.*)', plan.replace('\\\n', ' '))
    assert len(installs) >= 2, plan
    for options in installs:
        is_ours = re.search(r'--no-deps --no-build-isolation -e \.\s*$', options)
        is_locked = '--no-deps' in options and '--require-hashes -r requirements/' in options
        assert is_ours or is_locked, options
    assert sum('--require-hashes' not in options for options in installs) == (target != 'lock')
