"""The wheel works on its own, and the code depends on no more than it declares."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = ('emola_jax', 'input_pipeline', 'configs')
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob('*.py'))]


def run(*command, cwd, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def not_ours(_: str, names: list[str]) -> set[str]:
    """Names of a checkout that are no part of it: tools' folders and what was built."""
    kept = ('.ci', '.gitignore')
    made = ('__pycache__', 'build', 'dist', 'runs')
    return {
        name
        for name in names
        if (name.startswith('.') and name not in kept)
        or name in made
        or name.endswith(('.egg-info', '.pyc'))
    }


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A copy of this checkout, without what is not part of it."""
    return shutil.copytree(
        ROOT, tmp_path_factory.mktemp('packaging') / 'checkout', ignore=not_ours, symlinks=True
    )


@pytest.fixture(scope='module')
def archive(checkout, tmp_path_factory) -> Path:
    """The source archive, as `make dist` builds it."""
    folder = tmp_path_factory.mktemp('archive')
    program = 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])'
    built = run('-c', program, folder, cwd=checkout)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob('*.tar.gz')
    return path


@pytest.fixture(scope='module')
def installed(checkout, tmp_path_factory) -> Path:
    """The wheel of this checkout, unpacked by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp('installed')
    target = folder / 'target'
    quiet = ('--quiet', '--no-deps', '--no-index', '--disable-pip-version-check')
    pip = ('-m', 'pip')
    built = run(*pip, 'wheel', *quiet, '--no-build-isolation', '-w', folder, checkout, cwd=folder)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob('emola_jax-*.whl')
    put = run(*pip, 'install', *quiet, '--target', target, wheel, cwd=folder)
    assert put.returncode == 0, put.stderr
    return target


@pytest.fixture
def run_installed(installed, tmp_path):
    """Runs Python from a foreign folder, with the installed wheel before everything else."""
    return lambda *command: run(*command, cwd=tmp_path, PYTHONPATH=str(installed))


def files_of(root: Path) -> set[str]:
    """Code and data below the three packages of a folder."""
    return {
        str(path.relative_to(root))
        for package in PACKAGES
        for path in (root / package).rglob('*')
        if path.is_file() and path.suffix != '.pyc'
    }


def test_wheel_holds_every_source_and_data_file_of_the_checkout_and_no_other(installed):
    here = files_of(ROOT)
    assert files_of(installed) == here
    for name in ('configs/tiny.py', 'emola_jax/reporting/templates/report.html'):
        assert name in here
    assert {path.name for path in installed.iterdir() if path.suffix != '.dist-info'} == {
        *PACKAGES,
        'bin',  # of pip install --target: the console script
    }


def test_wheel_declares_what_setup_asks_for_and_one_command(installed):
    (metadata,) = importlib.metadata.distributions(path=[str(installed)])
    assert metadata.metadata['Requires-Python'] == '>=3.11'
    declared = {Requirement(one) for one in metadata.requires}
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    runtime = ast.literal_eval(re.search(r'^RUNTIME = (\[.*?^\])', text, re.M | re.S).group(1))
    assert set(map(Requirement, runtime)) <= declared
    assert set(metadata.metadata.get_all('Provides-Extra')) == {'gpu', 'tpu', 'convert', 'dev'}
    assert [(one.name, one.value) for one in metadata.entry_points] == [
        ('emola', 'emola_jax.__main__:main')
    ]


def test_installed_command_lists_the_verbs_of_the_checkout(run_installed, installed):
    shown = run_installed(installed / 'bin/emola', '--help')
    assert shown.returncode == 0, shown.stderr
    here = run('-m', 'emola_jax', '--help', cwd=ROOT, PYTHONPATH=str(ROOT))
    assert shown.stdout == here.stdout
    assert ' predict ' in shown.stdout


def test_installed_command_and_configs_are_found_from_a_foreign_folder(run_installed, installed):
    program = """
import sys
from absl import flags
from emola_jax import main
from emola_jax.config import config_files
sys.argv = ['main', '--config=configs/mini.py:prior_only', '--config.seed=5', '--workdir=w']
flags.FLAGS(config_files.resolve_flag(sys.argv))
print(main.__file__, main.CONFIG.value.seed, main.CONFIG.value.model.vision)
"""
    loaded = run_installed('-c', program)
    expected = [str(installed / 'emola_jax/main.py'), '5', 'None']
    assert loaded.stdout.split() == expected, loaded.stderr


def test_installed_command_explains_itself_and_a_wrong_config(run_installed):
    shown = run_installed('-m', 'emola_jax.main', '--help')
    assert '--config' in shown.stdout and '--workdir' in shown.stdout, shown.stderr
    missing = run_installed('-m', 'emola_jax.main', '--config=configs/nope.py', '--workdir=w')
    assert missing.returncode == 1
    assert 'configs/tiny.py' in missing.stderr
    assert 'Traceback' not in missing.stderr


def test_a_run_needs_neither_torch_nor_tensorflow(run_installed):
    # As on a machine that lacks them; tensorboardX looks for torch and goes on without.
    program = """
import importlib.abc, pkgutil, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'tensorflow'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Absent())
import emola_jax, input_pipeline
for package in (emola_jax, input_pipeline):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        # Of the commands that define flags of the same names, a process can hold one.
        if module.name not in ('emola_jax.study.ablation', 'emola_jax.study.cross_validation'):
            __import__(module.name)
expected = {'emola_jax.training.loop', 'emola_jax.evaluation.evaluate', 'emola_jax.main'}
print(sorted(expected - sys.modules.keys()))
"""
    result = run_installed('-c', program)
    assert result.stdout.splitlines()[-1:] == ['[]'], result.stderr


def imports(path: Path) -> set[str]:
    """Names of the top-level packages that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split('.')[0])
    return found


def test_every_import_is_a_declared_requirement():
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    runtime = ast.literal_eval(re.search(r'^RUNTIME = (\[.*?^\])', text, re.M | re.S).group(1))

    def canonical(name):
        return re.sub('[-_.]+', '-', re.match(r'[\w.-]+', name).group()).lower()

    convert = ast.literal_eval(re.search(r'^CONVERT = (\[.*?\])', text, re.M | re.S).group(1))
    declared = {canonical(requirement) for requirement in runtime}
    # Reading PyTorch's own files is an extra; everything else must do without it.
    with_convert = declared | {canonical(requirement) for requirement in convert}
    owners = importlib.metadata.packages_distributions()
    for path in SOURCES:
        for module in imports(path) - set(sys.stdlib_module_names) - set(PACKAGES):
            distributions = {canonical(name) for name in owners[module]}
            allowed = with_convert if {'formats', 'weights'} & set(path.parts) else declared
            assert distributions & allowed, f'{path} imports {module}, which setup.py lacks'


def test_input_pipeline_imports_no_jax():
    files = [path for path in SOURCES if path.is_relative_to(ROOT / 'input_pipeline')]
    assert files
    for path in files:
        assert not imports(path) & {'jax', 'flax', 'optax'}, path


def test_every_requirement_is_imported():
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    runtime = ast.literal_eval(re.search(r'^RUNTIME = (\[.*?^\])', text, re.M | re.S).group(1))
    owners = importlib.metadata.packages_distributions()
    modules = {module for path in SOURCES for module in imports(path)}
    owned = {name.lower().replace('_', '-') for one in modules for name in owners.get(one, ())}
    # tensorflow-datasets imports these, and declares neither for the files that we write.
    owned |= {'array-record', 'importlib-resources'}
    names = {re.match(r'[\w.-]+', one).group().lower().replace('_', '-') for one in runtime}
    assert names - owned == set()


def test_the_source_archive_holds_the_checkout_and_works(archive, checkout, tmp_path):
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter='data')
    (unpacked,) = tmp_path.iterdir()
    for path in sorted(checkout.rglob('*')):
        name = path.relative_to(checkout)
        if path.is_file() and 'egg-info' not in str(name) and name.parts[0] != 'build':
            assert (unpacked / name).read_bytes() == path.read_bytes(), name
    for name in (
        'Makefile',
        'constraints.txt',
        'requirements/py311/runtime.txt',
        'docs/security.md',
    ):
        assert (unpacked / name).is_file(), name
    for command in (
        ('-m', 'ruff', 'format', '--check', '.'),
        ('-m', 'ruff', 'check', '.'),
        ('-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/files/test_names.py'),
    ):
        done = run(*command, cwd=unpacked, PYTHONPATH=str(unpacked))
        assert done.returncode == 0, done.stdout + done.stderr
