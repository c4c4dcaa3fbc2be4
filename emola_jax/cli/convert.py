"""The command that turns one kind of checkpoint into another.

python -m emola_jax.convert SOURCE --to=emola --out=DIR

Only the standard library is imported before the arguments are parsed and checked, so that --help,
and what to install where torch is missing, come at once.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from emola_jax import extras
from emola_jax.cli import command
from emola_jax.files import places
from emola_jax.formats.purposes import DEFAULT_SHARD_SIZE, DTYPE_NAMES, PURPOSES

_DESCRIPTION = """\
Turns one kind of checkpoint into another, tensor by tensor, whole or not at all.

SOURCE is recognised by what it holds:
  a run of this project     the --workdir of a training; its newest checkpoint is taken
  EmoLA as released         adapter_config.json, adapter_model.*, non_lora_trainables.bin,
                            landmark_feature_projector.bin, config.json
  an adapter of PEFT        adapter_config.json, adapter_model.*
  a whole model             LLaVA-1.5 in its original or any llava-hf layout, a merged EmoLA
Rank, alpha, targets, template and base are those that it names itself. SOURCE, --base and --clip
are folders, or ids of the Hugging Face hub."""

_EXAMPLES = """\
examples:
  python -m emola_jax.convert runs/emola --to=emola --out=emola-lora
  python -m emola_jax.convert emola-lora --to=peft --out=emola-peft
  python -m emola_jax.convert emola-lora --base=weights/llava-v1.5-7b --to=hf --out=emola-merged
"""


_PYTORCH = (
    ('model*.safetensors', 'pytorch_model*.bin'),
    ('adapter_model.safetensors', 'adapter_model.bin'),
    ('', 'non_lora_trainables.bin'),
)
"""Weights, and the files in PyTorch's own format that are read where the first are not there."""


def main(argv: Sequence[str]) -> None:
    """Parses and checks, then imports what does the work."""
    arguments = _parser().parse_args(argv)
    _check_torch(arguments)
    places.check_output_folder(arguments.out.parent)
    from emola_jax.experiment.conversion import Conversion, convert

    convert(Conversion(**vars(arguments)))


def _check_torch(arguments: argparse.Namespace) -> None:
    """Raises UserError if the command would find out later that torch is missing."""
    if arguments.to == 'emola':
        extras.check_torch("--to=emola, which writes PyTorch's own format,")
    if arguments.verify and arguments.to in ('hf', 'llava-hf'):
        extras.check_torch(f'the verification of --to={arguments.to} (left out by --no-verify)')
    for name in (arguments.source, arguments.base, arguments.clip):
        folder = places.path(name) if name else None
        if folder is None or not folder.is_dir():
            continue
        for instead, pattern in _PYTORCH:
            found = sorted(folder.glob(pattern))
            if found and not (instead and any(folder.glob(instead))):
                extras.check_torch(f"{found[0]}: PyTorch's own format")


def _bytes(text: str) -> int:
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*([KMG]?)B?', text, re.IGNORECASE)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f'{text!r}: expected a size such as 5GB or 500MB')
    return int(float(match[1]) * {'': 1, 'K': 1e3, 'M': 1e6, 'G': 1e9}[match[2].upper()])


def _parser() -> argparse.ArgumentParser:
    formats = '\n'.join(f'  {name:<10}{purpose}' for name, purpose in PURPOSES.items())
    parser = argparse.ArgumentParser(
        'python -m emola_jax.convert',
        description=f'{_DESCRIPTION}\n\nformats:\n{formats}',
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', type=places.given, metavar='SOURCE', help='what is read')
    parser.add_argument('--to', required=True, choices=list(PURPOSES), help='format to write')
    parser.add_argument(
        '--out', required=True, type=places.path, metavar='DIR', help='folder to write'
    )
    parser.add_argument(
        '--base', type=places.given, metavar='DIR', help='the model below an adapter'
    )
    parser.add_argument(
        '--clip',
        type=places.given,
        metavar='DIR',
        help='CLIP, where the model has no tower itself',
    )
    parser.add_argument(
        '--allow-download',
        action='store_true',
        help='fetch from the Hugging Face hub what SOURCE itself names (its base, CLIP)',
    )
    parser.add_argument(
        '--dtype',
        choices=list(DTYPE_NAMES),
        help='type of what is written (default: as stored)',
    )
    parser.add_argument(
        '--max-shard-size',
        type=_bytes,
        default=DEFAULT_SHARD_SIZE,
        metavar='SIZE',
        help='largest file of weights (default: 5GB)',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace --out if it is there')
    parser.add_argument(
        '--no-verify',
        dest='verify',
        action='store_false',
        help='do not run a sample through what was written',
    )
    return parser


def cli() -> None:
    """Runs `main`; a user error is one message and exit status 1."""
    with command.exits_with_a_sentence('emola_jax.convert'):
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
