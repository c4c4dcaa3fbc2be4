"""Writes the constraints and the locks in this folder, with uv: `make lock`.

    python requirements/lock.py                     # what setup.py asks for, at known versions
    python requirements/lock.py --upgrade           # everything at its newest version
    python requirements/lock.py --upgrade-package=jax

Each series of Python versions has constraints, which pin every package of every extra, for reading
and for `pip install -c`, and a folder of locks. A lock holds the hashes of a set of packages for
every platform and Python version of the series, without what an earlier set holds already, and
names no place that they are fetched from.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent

TOOLS = ('cyclonedx-bom', 'pip-audit', 'uv')
"""What only `make lock`, `make audit` and `make sbom` use, in an environment of its own."""

NOT_NEWER = ('backports-strenum<1.3',)
"""Packages whose newest versions are for older Pythons only, which uv doesn't look at."""

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


@dataclasses.dataclass(frozen=True)
class Series:
    """Python versions that have their packages in common.

    Attributes:
      oldest: the first of them, as in '3.11'.
      constraints: file that pins their packages.
      locks: folder of their locks.
    """

    oldest: str
    constraints: Path
    locks: Path


SERIES = (
    Series('3.11', ROOT / 'constraints.txt', FOLDER / 'py311'),
    Series('3.12', ROOT / 'constraints-py312.txt', FOLDER / 'py312'),
)
"""The Makefile chooses between them by the Python that makes the environment."""


def requirements(python: str) -> dict[str, list[str]]:
    """What setup.py asks for on a Python version, by the name of the list that holds it."""
    tree = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
    return {
        statement.targets[0].id: wanted(ast.literal_eval(statement.value), python)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.List)
    }


def wanted(listed: list[str], python: str) -> list[str]:
    """Those of some requirements that are meant for a Python version, without their markers."""
    parsed = [Requirement(one) for one in listed]
    meant = [
        one
        for one in parsed
        if one.marker is None or one.marker.evaluate({'python_version': python})
    ]
    for one in meant:
        one.marker = None
    return [str(one) for one in meant]


def resolve(asked: list[str], python: str, *options: str) -> str:
    """What uv makes of requirements: each package that they need, pinned.

    Raises:
      subprocess.CalledProcessError: they cannot be had together; uv has said why.
    """
    uv = Path(sys.executable).with_name('uv')
    command = [uv, 'pip', 'compile', '-', '--universal', f'--python-version={python}']
    command += ['--no-config', '--no-python-downloads', '--no-header', '--no-annotate', *options]
    done = subprocess.run(
        command, input='\n'.join(asked), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def blocks(lock: str) -> Blocks:
    """The lines of each package of a lock."""
    found = re.findall(r'^([\w.-]+)(==.*(?:\n    .*)*)', lock, re.MULTILINE)
    return {name: name + rest for name, rest in found}


def write(path: Path, text: str) -> None:
    """Writes a file; one that uv is given as its output keeps the versions that it holds."""
    path.write_text(f'{_HEAD}{text}', encoding='utf-8')


def write_lock(path: Path, found: Blocks) -> None:
    """Writes the lock of some packages."""
    write(path, ''.join(f'{found[package]}\n' for package in sorted(found)))


def write_series(series: Series, update: list[str]) -> None:
    """Resolves everything of a series together, then writes each set."""
    lists, python, pinned = requirements(series.oldest), series.oldest, series.constraints
    everything = ['pip', *NOT_NEWER, *(one for asked in lists.values() for one in asked)]
    write(pinned, resolve(everything, python, f'--output-file={pinned}', *update))

    # Every further question has its answer among what has just been fetched.
    hashed = ('--generate-hashes', '--offline', '--quiet', f'--constraints={pinned}')
    runtime, convert = lists['RUNTIME'], lists['CONVERT']
    sets = {
        'build': ['pip', 'setuptools'],
        'runtime': runtime,
        'convert': runtime + convert,
        'dev': runtime + convert + lists['DEV'],
        'gpu': runtime + lists['GPU'],
        'tpu': runtime + lists['TPU'],
    }
    found = {name: blocks(resolve(asked, python, *hashed)) for name, asked in sets.items()}
    torch = {name: block for name, block in found['dev'].items() if _TORCH.match(name)}
    series.locks.mkdir(exist_ok=True)
    write_lock(series.locks / 'torch.txt', torch)
    for name, earlier in EARLIER.items():
        known = {package for other in earlier for package in found[other]}
        if name in ('convert', 'dev'):
            known |= torch.keys()
        added = {key: found[name][key] for key in found[name].keys() - known}
        write_lock(series.locks / f'{name}.txt', added)


def main() -> None:
    """Writes the lock of the tools and everything of each series."""
    update = sys.argv[1:]
    tools = FOLDER / 'tools.txt'
    options = ('--generate-hashes', f'--output-file={tools}', *update)
    write(tools, resolve(list(TOOLS), SERIES[0].oldest, *options))
    for series in SERIES:
        write_series(series, update)


if __name__ == '__main__':
    main()
