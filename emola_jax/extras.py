"""Optional packages: whether they are there, and how to install them."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

from emola_jax.errors import UserError

_CHECKOUT = Path(__file__).resolve().parent.parent


def install(extra: str) -> str:
    """The command that installs an extra of setup.py, run in a checkout (docs/install.md)."""
    own = _CHECKOUT / '.venv'
    if (_CHECKOUT / 'Makefile').is_file() and Path(sys.prefix).resolve() == own.resolve():
        return f'make setup EXTRAS={extra}'
    python = shlex.quote(sys.executable or 'python')
    constraints = 'constraints.txt' if sys.version_info < (3, 12) else 'constraints-py312.txt'
    return f"{python} -m pip install -c {constraints} -e '.[{extra}]'"


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
