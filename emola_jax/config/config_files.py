"""Finds and reads the file of `--config`, also when the package is installed, not checked out."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import ml_collections

from emola_jax.errors import UserError
from emola_jax.files import places

_PACKAGED = Path(__file__).resolve().parents[2] / 'configs'
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
    path = places.path(name) if name.strip() else Path()
    if path.is_file():
        return f'{path}{colon}{argument}'
    if path.parent == Path('configs') and (_PACKAGED / path.name).is_file():
        return f'{_PACKAGED / path.name}{colon}{argument}'
    raise UserError(
        f'--config: no file {name!r} here or among those of the package: {", ".join(available())}'
    )


def load(path_spec: str) -> ml_collections.ConfigDict:
    """The values of a config file, e.g. of `configs/mini.py:long`.

    Raises:
      UserError: see `resolve`; or the file is at fault.
    """
    return _read(resolve(path_spec))


def resolve_flag(argv: Sequence[str]) -> list[str]:
    """A command line with `resolve` applied to the value of `--config`.

    Needed before flags are parsed: parsing already loads the file. It would also bury under a
    traceback what the file says of a bad argument, and what is wrong with a flag of one of its
    fields, so both are looked at here.

    Args:
      argv: program name and arguments.

    Returns:
      The same arguments; `--config VALUE` and `--config=VALUE` are both known.

    Raises:
      UserError: see `resolve`; the config refuses its argument; or a flag names a field that it
        lacks, or a value that the field can't have.
    """
    arguments = list(argv)
    for i, argument in enumerate(arguments):
        if argument == '--':
            break
        flag, equals, value = argument.partition('=')
        if flag in _FLAGS and equals:
            spec = resolve(value)
            arguments[i] = f'{flag}={spec}'
        elif i and arguments[i - 1] in _FLAGS:
            spec = arguments[i] = resolve(argument)
        else:
            continue
        title = spec.replace(f'{_PACKAGED.parent}/', '')
        from emola_jax.config import checks

        checks.check_flags(arguments[1:], _read(spec), title)
    return arguments


def with_argument(path_spec: str, name: str, value: object) -> str:
    """`path_spec` with `name=value` appended to its arguments (after a colon, comma-separated).

    Raises:
      UserError: it gives `name` already.
    """
    path, _, arguments = path_spec.partition(':')
    given = [argument for argument in arguments.split(',') if argument]
    if any(argument.partition('=')[0].strip() == name for argument in given):
        raise UserError(f'--config: {path_spec!r} gives {name!r} itself; leave it out')
    return f'{path}:{",".join([*given, f"{name}={value}"])}'


def _read(path_spec: str) -> ml_collections.ConfigDict:
    """What the file of `path_spec`, which exists, gives for its argument.

    Raises:
      UserError: it refuses the argument; or it is no config file, and why.
    """
    name, colon, argument = path_spec.partition(':')
    found = importlib.util.spec_from_file_location('emola_jax_config', name)
    if found is None or found.loader is None:
        raise UserError(f'--config: {name}: expected a Python file')
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses look their module up
    try:
        found.loader.exec_module(module)
        config = module.get_config(*([argument] if colon else []))
    except UserError:
        raise
    except Exception as error:
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno for step in steps if step.filename == found.origin]
        line = lines[-1] if lines else getattr(error, 'lineno', None)
        raise UserError(
            f'--config: {name}{f", line {line}" if line else ""}: {type(error).__name__}: {error}; '
            'expected a file with get_config() that returns a ConfigDict'
        ) from error
    finally:
        del sys.modules[found.name]
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(f'--config: {name}: get_config() returns no ConfigDict')
    return config


def available() -> list[str]:
    """The configs that come with the package, as `configs/NAME.py`."""
    files = (path.name for path in _PACKAGED.glob('*.py') if not path.name.startswith('_'))
    return [f'configs/{name}' for name in sorted(files)]
