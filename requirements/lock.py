"""Writes constraints.txt and the locks in this folder, with uv: `make lock`.

    python requirements/lock.py                     # what setup.py asks for, at known versions
    python requirements/lock.py --upgrade           # everything at its newest version
    python requirements/lock.py --upgrade-package=jax

constraints.txt pins every package of every extra, for reading and for `pip install -c`. A lock
holds the hashes of a set of packages for every platform and Python version, without what an
earlier set holds already, and names no place that they are fetched from.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
CONSTRAINTS = ROOT / 'constraints.txt'

OLDEST_PYTHON = '3.11'
TOOLS = ('cyclonedx-bom', 'pip-audit', 'uv')
"""What only `make lock`, `make audit` and `make sbom` use, in an environment of its own."""

_TORCH = re.compile(r'(?:torch|triton|(?:cuda|nvidia)-.*)\Z')
"""PyTorch and what its CUDA build brings; no other package of these sets needs them."""

EARLIER = {
    'build': (),
    'runtime': ('build',),
    'convert': ('build', 'runtime'),
    'dev': ('build', 'runtime', 'convert'),
    'gpu': ('build', 'runtime'),
    'tpu': ('build', 'runtime'),
}
"""Each lock with those that are installed before it."""

_HEAD = '# Written by make lock.\n'

Blocks = dict[str, str]
"""By package: its lines in a lock."""


def requirements() -> dict[str, list[str]]:
    """What setup.py asks for, by the name of the list that holds it."""
    tree = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
    return {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.List)
    }


def resolve(wanted: list[str], *options: str) -> str:
    """What uv makes of requirements: each package that they need, pinned.

    Raises:
      subprocess.CalledProcessError: they cannot be had together; uv has said why.
    """
    uv = Path(sys.executable).with_name('uv')
    command = [uv, 'pip', 'compile', '-', '--universal', f'--python-version={OLDEST_PYTHON}']
    command += ['--no-config', '--no-header', '--no-annotate', *options]
    done = subprocess.run(
        command, input='\n'.join(wanted), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def blocks(lock: str) -> Blocks:
    """The lines of each package of a lock."""
    found = re.findall(r'^([\w.-]+)(==.*(?:\n    .*)*)', lock, re.MULTILINE)
    return {name: name + rest for name, rest in found}


def write(path: Path, text: str) -> None:
    """Writes a file; one that uv is given as its output keeps the versions that it holds."""
    path.write_text(f'{_HEAD}{text}', encoding='utf-8')


def write_lock(name: str, found: Blocks) -> None:
    """Writes the lock of some packages."""
    text = ''.join(f'{found[package]}\n' for package in sorted(found))
    write(FOLDER / f'{name}.txt', text)


def main() -> None:
    """Resolves everything together, then writes each set."""
    update = sys.argv[1:]
    lists = requirements()
    everything = ['pip', *(one for wanted in lists.values() for one in wanted)]
    write(CONSTRAINTS, resolve(everything, f'--output-file={CONSTRAINTS}', *update))
    tools = FOLDER / 'tools.txt'
    write(tools, resolve(list(TOOLS), '--generate-hashes', f'--output-file={tools}', *update))

    # Every further question has its answer among what has just been fetched.
    hashed = ('--generate-hashes', '--offline', '--quiet', f'--constraints={CONSTRAINTS}')
    runtime, convert = lists['RUNTIME'], lists['CONVERT']
    sets = {
        'build': ['pip', 'setuptools'],
        'runtime': runtime,
        'convert': runtime + convert,
        'dev': runtime + convert + lists['DEV'],
        'gpu': runtime + lists['GPU'],
        'tpu': runtime + lists['TPU'],
    }
    found = {name: blocks(resolve(wanted, *hashed)) for name, wanted in sets.items()}
    torch = {name: block for name, block in found['dev'].items() if _TORCH.match(name)}
    write_lock('torch', torch)
    for name, earlier in EARLIER.items():
        known = {package for other in earlier for package in found[other]}
        if name in ('convert', 'dev'):
            known |= torch.keys()
        write_lock(name, {key: found[name][key] for key in found[name].keys() - known})


if __name__ == '__main__':
    main()
