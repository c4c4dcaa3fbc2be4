"""The one exception that means: the input is at fault, and here is what to do."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input, told in one sentence that names the file, the field and what was expected.

    Command-line entry points print the sentence without a traceback and exit with status 1.
    """


class Preempted(Exception):
    """The run was told to leave and has saved everything; the message says how to go on."""

    EXIT_STATUS = 75
    """The system's EX_TEMPFAIL: the same command, started again, goes on."""
