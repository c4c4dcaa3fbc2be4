"""The layout of docs/architecture.md: what stands in the root, and which room imports which."""

from __future__ import annotations

import ast
import graphlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]

LAYERS = (
    ('errors', 'facs', 'extras', 'files'),
    ('weights', 'metrics'),
    ('parallel', 'input_pipeline'),
    ('ops', 'experts'),
    ('models',),
    ('generation',),
    ('formats', 'config'),
    ('experiment',),
    ('evaluation',),
    ('training', 'reporting'),
    ('predict', 'compile', 'workflow'),
    ('api', 'cli'),
    ('main', 'study'),
)
"""Rooms from the ground up: a room imports from below, or from its own layer without a circle."""

LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> Iterator[Path]:
    for package in ('emola_jax', 'input_pipeline'):
        yield from sorted((CHECKOUT / package).rglob('*.py'))


def room(module: str) -> str:
    """`emola_jax.ops.rope` is of 'ops', `input_pipeline.images` of 'input_pipeline'."""
    parts = module.split('.')
    return parts[0] if parts[0] != 'emola_jax' or len(parts) == 1 else parts[1]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of each module of ours that a file imports, inside functions too.

    What it does only as a command (`if __name__ == '__main__'`) is no arrow: a door leads up.
    """
    if path.name == '__main__.py':
        return
    body = ast.parse(path.read_text(encoding='utf-8')).body
    modules = [node for node in body if not _is_door(node)]
    for node in itertools.chain.from_iterable(map(ast.walk, modules)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            if name.split('.')[0] in ('emola_jax', 'input_pipeline'):
                yield node.lineno, name


def _is_door(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def arrows() -> Iterator[tuple[str, str, str]]:
    """Importing room, imported room, and where it stands; arrows within a room are left out."""
    for path in modules():
        name = '.'.join(path.relative_to(CHECKOUT).with_suffix('').parts)
        for line, imported in imports(path):
            if room(imported) != room(name):
                yield room(name), room(imported), f'{path.relative_to(CHECKOUT)}:{line} {imported}'


def test_no_arrow_runs_back():
    back = [
        where
        for importing, imported, where in arrows()
        if importing in LEVELS and LEVELS[importing] < LEVELS[imported]
    ]
    assert not back, '\n'.join(back)


def test_no_circle_of_rooms():
    below: dict[str, set[str]] = {}
    for importing, imported, _ in arrows():
        below.setdefault(importing, set()).add(imported)
    try:
        graphlib.TopologicalSorter(below).prepare()
    except graphlib.CycleError as error:
        pytest.fail(' -> '.join(error.args[1]))


def test_every_root_entry_has_its_layer():
    entries = {path.stem for path in (CHECKOUT / 'emola_jax').iterdir() if path.suffix == '.py'}
    entries |= {path.parent.name for path in (CHECKOUT / 'emola_jax').glob('*/__init__.py')}
    assert entries - set(LEVELS) <= {'__init__', '__main__'}
    assert len(entries) <= 26


LONGEST_FUNCTION = 60


def test_functions_fit_a_screen():
    """Configs are tables of values, and are left out."""
    longer = {
        f'{path.relative_to(CHECKOUT)} {node.name}'
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    }
    assert longer == set()


MOST_ANY = 150


def test_what_is_known_of_a_value_is_said():
    """`Any` stands at the border of untyped libraries; most of it in frozen readers and files."""
    found = sum(len(re.findall(r'\bAny\b', path.read_text('utf-8'))) for path in modules())
    assert found <= MOST_ANY


LINEN = ('emola_jax/models/', 'emola_jax/experts/', 'emola_jax/experiment/small_tower_')
"""Where networks are written; `sharding` takes axis names out of their boxes. docs/decisions.md."""


def test_linen_is_walled_in():
    for path in modules():
        name = str(path.relative_to(CHECKOUT))
        if re.search(r'\blinen\b', path.read_text(encoding='utf-8')):
            assert name.startswith(LINEN) or name == 'emola_jax/parallel/sharding.py', name
