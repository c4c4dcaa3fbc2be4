"""Finds the file behind `--config`, also when the package is installed and not checked out."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import ml_collections

from emola_jax.errors import UserError

_PACKAGED = Path(__file__).resolve().parent.parent / 'configs'
_FLAGS = ('--config', '-config')


def resolve(path_spec: str) -> str:
    """Turns `configs/tiny.py:arg` into the same with the path of an existing file.

    A path that exists as given (from the working directory) wins; `configs/NAME.py` otherwise
    means the one that came with the package. What follows the first colon is kept as it is.

    Args:
      path_spec: path of a config file, optionally with `:argument`.

    Returns:
      The path and the argument, in the same form.

    Raises:
      UserError: no such file; the message lists the packaged configs.
    """
    name, colon, argument = path_spec.partition(':')
    path = Path(name)
    if path.is_file():
        return path_spec
    if path.parent == Path('configs') and (_PACKAGED / path.name).is_file():
        return f'{_PACKAGED / path.name}{colon}{argument}'
    raise UserError(
        f'--config: no file {name!r} here or among those of the package: {", ".join(available())}'
    )


def load(path_spec: str) -> ml_collections.ConfigDict:
    """The values of a config file, e.g. of `configs/mini.py:long`.

    Raises:
      UserError: see `resolve`.
    """
    path, colon, argument = resolve(path_spec).partition(':')
    get_config = runpy.run_path(path)['get_config']
    return get_config(argument) if colon else get_config()


def resolve_flag(argv: Sequence[str]) -> list[str]:
    """A command line with `resolve` applied to the value of `--config`.

    Needed before flags are parsed: parsing already loads the file. It would also bury what the file
    says of a bad argument under a traceback, so that is asked for here.

    Args:
      argv: program name and arguments.

    Returns:
      The same arguments; `--config VALUE` and `--config=VALUE` are both known.

    Raises:
      UserError: see `resolve`; or the config refuses its argument.
    """
    arguments = list(argv)
    for i, argument in enumerate(arguments):
        if argument == '--':
            break
        flag, equals, value = argument.partition('=')
        if flag in _FLAGS and equals:
            arguments[i] = f'{flag}={_accepted(resolve(value))}'
        elif i and arguments[i - 1] in _FLAGS:
            arguments[i] = _accepted(resolve(argument))
    return arguments


def with_argument(path_spec: str, name: str, value: object) -> str:
    """`path_spec` with `name=value` behind the arguments that it has: after a colon, by commas.

    Raises:
      UserError: it gives `name` already.
    """
    path, _, arguments = path_spec.partition(':')
    given = [argument for argument in arguments.split(',') if argument]
    if any(argument.partition('=')[0].strip() == name for argument in given):
        raise UserError(f'--config: {path_spec!r} gives {name!r} itself; leave it out')
    return f'{path}:{",".join([*given, f"{name}={value}"])}'


def _accepted(path_spec: str) -> str:
    """The same, if the config says nothing against its argument; other faults show when parsed."""
    name, _, argument = path_spec.partition(':')
    found = importlib.util.spec_from_file_location('emola_jax_config', name)
    if found is None or found.loader is None:
        return path_spec
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses look their module up
    try:
        found.loader.exec_module(module)
        module.get_config(*([argument] if argument else []))
    except UserError:
        raise
    except Exception:
        return path_spec
    finally:
        del sys.modules[found.name]
    return path_spec


def available() -> list[str]:
    """The configs that come with the package, as `configs/NAME.py`."""
    files = (path.name for path in _PACKAGED.glob('*.py') if not path.name.startswith('_'))
    return [f'configs/{name}' for name in sorted(files)]
