"""The one exception that means: the input is at fault, and here is what to do."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input, told in one sentence that names the file, the field and what was expected.

    Command-line entry points print the sentence without a traceback and exit with status 1.
    """


class Preempted(BaseException):
    """The command was told to leave; the message says how to go on. What it has done is on disk.

    No `Exception`: it comes at any moment, and nothing on its way up shall take it for a fault.
    """

    EXIT_STATUS = 75
    """The system's EX_TEMPFAIL: the same command, started again, goes on."""
