"""The command: list, fetch or verify the public files that the embedded default builds on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from emola_jax.cli import command
from emola_jax.errors import UserError
from emola_jax.files import assets


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: list, fetch or verify the assets; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='python -m emola_jax.assets',
        description='The pinned public files that the embedded default builds on.',
    )
    parser.add_argument('action', nargs='?', default='list', choices=('list', 'fetch', 'verify'))
    parser.add_argument('names', nargs='*', metavar='NAME', help='assets; all of them by default')
    arguments = parser.parse_args(argv)
    names = arguments.names or list(assets.ASSETS)
    try:
        results = [_act(arguments.action, assets.asset_named(name)) for name in names]
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0 if all(results) else 1


def _act(action: str, asset: assets.Asset) -> bool:
    """Does one action on one asset and prints a line; returns whether all is well."""
    label = f'{asset.name} {asset.version}'
    if action == 'fetch':
        print(f'{label}: {assets.fetch(asset.name)}')
    elif action == 'verify':
        faults = assets.verify(asset.name)
        print(f'{label}: ' + ('missing or changed: ' + ', '.join(faults) if faults else 'intact'))
        return not faults
    else:
        state = asset.folder if assets.is_complete(asset) else 'not fetched'
        print(f'{label}: {asset.purpose}')
        print(f'  {asset.licence}, {asset.size / 2**20:.0f} MB wheel, {state}')
        for file_name, digest in asset.wheels.items():
            print(f'  {file_name} sha256 {digest}')
    return True


if __name__ == '__main__':
    with command.exits_with_a_sentence('emola_jax.assets'):
        sys.exit(main())
