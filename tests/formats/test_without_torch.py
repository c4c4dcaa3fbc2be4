"""What is missing is said before anything heavy is imported."""

import subprocess
import sys

import pytest

from emola_jax import extras

_WITHOUT = """
import sys
class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'jax', 'jaxlib', 'transformers', 'orbax', 'flax'):
            raise ImportError(name)
sys.meta_path.insert(0, Closed())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest)
from emola_jax import extras
from emola_jax.cli.convert import cli
sys.argv = ['convert', *sys.argv[1:]]
cli()
"""

INSTALL = extras.install('convert')


def without(*arguments):
    command = [sys.executable, '-c', _WITHOUT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.parametrize('to', ['emola', 'hf', 'llava-hf'])
def test_missing_torch_is_said_before_heavy_imports(to, tmp_path):
    done = without(tmp_path, f'--to={to}', f'--out={tmp_path / "out"}')
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1, done.stderr
    assert 'needs PyTorch, which is not installed' in done.stderr
    assert INSTALL in done.stderr


@pytest.mark.parametrize('name', ['pytorch_model-00001-of-00002.bin', 'adapter_model.bin'])
def test_a_source_in_pytorchs_format_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b'x')
    done = without(tmp_path, '--to=peft', f'--out={tmp_path / "out"}')
    assert done.returncode == 1
    assert f'{tmp_path / name}: ' in done.stderr
    assert INSTALL in done.stderr


def test_help_needs_neither(tmp_path):
    done = without('--help')
    assert done.returncode == 0, done.stderr
    assert '--max-shard-size' in done.stdout
