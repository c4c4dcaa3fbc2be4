"""The one exception that means: the input is at fault, and here is what to do."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input, told in one sentence that names the file, the field and what was expected.

    Command-line entry points print the sentence without a traceback and exit with status 1.
    """
