"""The command: print again the tables of a sweep that `python -m emola_jax.compile` wrote."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from emola_jax.cli import command
from emola_jax.compile.table import markdown
from emola_jax.errors import UserError
from emola_jax.files import places


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the tables.

    Raises:
      SystemExit: with one sentence, where the file is none that a sweep wrote.
    """
    parser = argparse.ArgumentParser('python -m emola_jax.compile.table', description=__doc__)
    parser.add_argument('file', type=places.path, help='JSON that emola_jax.compile wrote')
    with command.exits_with_a_sentence('emola_jax.compile.table'):
        path = parser.parse_args(argv).file
        try:
            results = json.loads(path.read_text(encoding='utf-8'))['results']
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{path}: no file that emola_jax.compile wrote ({error})') from error
        print(markdown(results))


if __name__ == '__main__':
    main()
