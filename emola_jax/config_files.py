"""Finds the file behind `--config`, also when the package is installed and not checked out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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


def resolve_flag(argv: Sequence[str]) -> list[str]:
    """A command line with `resolve` applied to the value of `--config`.

    Needed before flags are parsed: parsing already loads the file.

    Args:
      argv: program name and arguments.

    Returns:
      The same arguments; `--config VALUE` and `--config=VALUE` are both known.

    Raises:
      UserError: see `resolve`.
    """
    arguments = list(argv)
    for i, argument in enumerate(arguments):
        if argument == '--':
            break
        flag, equals, value = argument.partition('=')
        if flag in _FLAGS and equals:
            arguments[i] = f'{flag}={resolve(value)}'
        elif i and arguments[i - 1] in _FLAGS:
            arguments[i] = resolve(argument)
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


def available() -> list[str]:
    """The configs that come with the package, as `configs/NAME.py`."""
    files = (path.name for path in _PACKAGED.glob('*.py') if not path.name.startswith('_'))
    return [f'configs/{name}' for name in sorted(files)]
