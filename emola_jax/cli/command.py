"""What the commands share: how a user's mistake ends one, and how a flag's value is read."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from emola_jax.errors import Preempted, UserError
from emola_jax.files.places import file_system_fault
from emola_jax.parallel import preemption

TRACEBACK_VARIABLE = 'EMOLA_TRACEBACK'
"""Set to anything, it shows where a fault of the system (a full disk, no memory) came up."""


@contextlib.contextmanager
def exits_with_a_sentence(name: str = 'emola_jax') -> Iterator[None]:
    """Turns a `UserError`, a fault of the file system or a lack of memory into one message.

    The exit status is 1.

    `Preempted` (SIGTERM) and Ctrl-C are messages as well, with exit statuses of their own. Names of
    files that are no valid text are printed with escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        with preemption.guarded(name):
            yield
    except Preempted as error:
        preemption.end_process(Preempted.EXIT_STATUS, f'{name}: {error}')
    except KeyboardInterrupt:
        preemption.end_process(preemption.INTERRUPTED, f'{name}: {preemption.BY_CTRL_C}')
    except Exception as error:
        if preemption.came():  # and reached a process that this one needs
            preemption.end_process(Preempted.EXIT_STATUS, f'{name}: {preemption.BY_SIGTERM}')
        if isinstance(error, UserError):
            sys.exit(f'{name}: {error}')
        fault = file_system_fault(error) or memory_fault(error)
        if fault is None:
            raise
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        preemption.end_command(1, f'{name}: {fault}')


def memory_fault(error: BaseException) -> str | None:
    """The sentence of an error that says that memory was not enough; None for any other."""
    said = ' '.join(str(error).split())
    if not isinstance(error, MemoryError) and 'RESOURCE_EXHAUSTED' not in said:
        return None
    what = f'out of memory ({said[:200]})' if said else 'out of memory'
    return f'{what}; take smaller batches or sizes, or more devices'


def whole(low: int, high: int) -> Callable[[str], int]:
    """Whole numbers between two that are allowed themselves, as an `argparse` type."""

    def number(text: str) -> int:
        digits = text.removeprefix('-')
        short = digits.isascii() and digits.isdecimal() and len(digits) < 20
        if not (short and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(
                f'{text!r}: expected a whole number from {low:,} to {high:,}'
            )
        return int(text)

    return number


positive = whole(1, 1_000_000)
"""How many faces at a time and the like, as an `argparse` type."""
