"""What the commands share: how a user's mistake ends one, and how a number is read."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator

from emola_jax.errors import Preempted, UserError


@contextlib.contextmanager
def exits_with_a_sentence(name: str = 'emola_jax') -> Iterator[None]:
    """Turns a `UserError` into one message behind the command's name and exit status 1.

    `Preempted` is a message as well, with an exit status of its own.
    """
    try:
        yield
    except UserError as error:
        sys.exit(f'{name}: {error}')
    except Preempted as error:
        print(f'{name}: {error}', file=sys.stderr)
        sys.exit(Preempted.EXIT_STATUS)


def positive(text: str) -> int:
    """A number of at least 1, as an `argparse` type.

    Raises:
      argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: expected a number of at least 1')
    return int(text)
