"""Optional packages: whether they are there, and how to install them."""

from __future__ import annotations

import importlib.util

from emola_jax.errors import UserError


def install(extra: str) -> str:
    """The command that installs an extra of pyproject.toml, run in a checkout."""
    return f".venv/bin/python -m pip install -c constraints.txt -e '.[{extra}]'"


def check_torch(what: str) -> None:
    """Finds out without importing it whether torch is there.

    Args:
      what: that needs it, for the message.

    Raises:
      UserError: it isn't; says how to get it.
    """
    try:
        found = importlib.util.find_spec('torch')
    except ValueError:  # what a module without a spec raises
        found = None
    if found is None:
        raise UserError(f'{what} needs PyTorch, which is not installed: {install("convert")}')
