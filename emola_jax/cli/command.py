"""What the commands share: how a user's mistake ends one, and how a flag's value is read."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterator

from emola_jax.errors import Preempted, UserError
from emola_jax.files.places import file_system_fault
from emola_jax.parallel import preemption

TRACEBACK_VARIABLE = 'EMOLA_TRACEBACK'
"""Set to anything, it shows where a fault of the system (a full disk, say) came up."""


@contextlib.contextmanager
def exits_with_a_sentence(name: str = 'emola_jax') -> Iterator[None]:
    """Turns a `UserError`, or a fault of the file system, into one message and exit status 1.

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
        fault = file_system_fault(error)
        if fault is None:
            raise
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        preemption.end_command(1, f'{name}: {fault}')


def positive(text: str) -> int:
    """A number of at least 1, as an `argparse` type.

    Raises:
      argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: expected a number of at least 1')
    return int(text)
