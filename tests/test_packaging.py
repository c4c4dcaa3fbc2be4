"""The wheel works on its own, and the code depends on no more than it declares."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """The wheel of this checkout, unpacked by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp('packaging')
    checkout, target = folder / 'checkout', folder / 'target'
    ignore = shutil.ignore_patterns('__pycache__')
    for package in PACKAGES:
        shutil.copytree(ROOT / package, checkout / package, ignore=ignore)
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, checkout)
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


def test_wheel_holds_every_source_and_data_file(installed):
    code_and_data = [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob('*')
        if path.is_file() and path.suffix != '.pyc'
    ]
    assert len(code_and_data) > 20
    assert [str(path) for path in code_and_data if not (installed / path).is_file()] == []
    assert not (installed / 'tests').exists()


def test_installed_command_and_configs_are_found_from_a_foreign_folder(run_installed, installed):
    program = """
import sys
from absl import flags
from emola_jax import config_files, main
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
        if module.name not in ('emola_jax.ablation', 'emola_jax.folds'):
            __import__(module.name)
print(sorted({'emola_jax.train', 'emola_jax.evaluate', 'emola_jax.main'} - sys.modules.keys()))
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
            allowed = with_convert if 'convert' in path.parts else declared
            assert distributions & allowed, f'{path} imports {module}, which setup.py lacks'


def test_input_pipeline_imports_no_jax():
    files = [path for path in SOURCES if path.is_relative_to(ROOT / 'input_pipeline')]
    assert files
    for path in files:
        assert not imports(path) & {'jax', 'flax', 'optax'}, path


def test_every_requirement_is_pinned():
    constraints = (ROOT / 'constraints.txt').read_text(encoding='utf-8')
    pins = {line.split('==')[0].lower() for line in constraints.splitlines() if '==' in line}
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    for name in ('RUNTIME', 'DEV'):
        block = re.search(rf'^{name} = (\[.*?^\])', text, re.M | re.S).group(1)
        for requirement in ast.literal_eval(block):
            wanted = re.match(r'[\w.-]+', requirement).group().lower()
            assert {wanted, wanted.replace('-', '_'), wanted.replace('_', '-')} & pins, wanted


def test_no_tensorflow_among_the_pins():
    assert not re.search('^tensorflow==', (ROOT / 'constraints.txt').read_text(), re.M)
