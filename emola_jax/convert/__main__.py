"""The command that turns one kind of checkpoint into another.

python -m emola_jax.convert SOURCE --to=emola --out=DIR
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import jax
from tqdm import tqdm

from emola_jax import trained
from emola_jax.convert.formats import FORMATS, Format
from emola_jax.convert.hub import local_folder
from emola_jax.convert.read_folder import read_folder
from emola_jax.convert.source import Source, describe
from emola_jax.convert.source import trained as trained_part
from emola_jax.convert.write import DEFAULT_SHARD_SIZE, DTYPES, Options
from emola_jax.errors import UserError
from emola_jax.files import atomic_folder

_DESCRIPTION = """\
Turns one kind of checkpoint into another, tensor by tensor, whole or not at all.

SOURCE is told by what it holds:
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


def main(argv: Sequence[str]) -> None:
    """Reads, writes, verifies; nothing changes on disk unless all of it succeeds."""
    arguments = _parser().parse_args(argv)
    wanted = FORMATS[arguments.to]
    out = Path(arguments.out)
    _check_out(out, arguments)
    jax.config.update('jax_platforms', 'cpu')
    warnings.filterwarnings('ignore', category=FutureWarning, module='transformers')
    source, unverified = _read(arguments, wanted)
    print(f'{arguments.source}: {source.kind}')
    for line in describe(source):
        print(f'  {line}')
    wanted.check(source)
    with (
        atomic_folder(out, overwrite=arguments.overwrite) as folder,
        tqdm(total=_size(source, wanted), unit='B', unit_scale=True, disable=None) as bar,
    ):
        options = Options(arguments.dtype, arguments.max_shard_size, arguments.base, bar.update)
        wanted.write(source, folder, options)
        bar.close()
        print(unverified or _verify(source, folder, wanted))
        sizes = {path.name: path.stat().st_size for path in sorted(folder.rglob('*'))}
    print(f'{out}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB, format {arguments.to}')
    for name, size in sizes.items():
        print(f'  {name}  {size / 1e6:.3f} MB')


def _read(arguments: argparse.Namespace, wanted: Format) -> tuple[Source, str]:
    """What is read, and why what is written of it will not be verified (empty if it will be).

    An adapter can be written without the base below it, but not be run without it.
    """
    folder = local_folder(arguments.source)
    read = functools.partial(
        trained.read_run if trained.is_run(folder) else read_folder,
        folder,
        base=arguments.base,
        clip=arguments.clip,
    )
    if not arguments.verify:
        return read(with_base=wanted.needs_base), 'not verified: --no-verify'
    try:
        source = read(with_base=True)
    except UserError as error:
        if wanted.needs_base:
            raise
        return read(with_base=False), f'not verified, since the base is not at hand: {error}'
    if source.load_tokenizer is None and not wanted.needs_base:
        return source, 'not verified, since neither adapter nor base has a tokenizer'
    return source, ''


def _verify(source: Source, folder: Path, wanted: Format) -> str:
    return f'verified: logits differ by at most {wanted.verify(source, folder):.2e}'


def _size(source: Source, wanted: Format) -> int:
    parts = [source.params] if wanted.needs_base else trained_part(source)
    return sum(tensor.nbytes for part in parts for tensor in part.values())


def _check_out(out: Path, arguments: argparse.Namespace) -> None:
    """Raises UserError if nothing may be written there."""
    if not out.exists():
        return
    if not arguments.overwrite:
        raise UserError(f'{out}: exists already; name another --out, or give --overwrite')
    inputs = [name for name in (arguments.source, arguments.base, arguments.clip) if name]
    if any(Path(name).resolve().is_relative_to(out.resolve()) for name in inputs):
        raise UserError(f'{out}: holds what is read; name another --out')
    known = ('config.json', 'adapter_config.json')
    is_model = any((out / name).is_file() for name in known) and not trained.is_run(out)
    if not is_model and any(out.iterdir() if out.is_dir() else [out]):
        raise UserError(f'{out}: is no folder that this command wrote; name another --out')


def _bytes(text: str) -> int:
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*([KMG]?)B?', text, re.IGNORECASE)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f'{text!r}: expected a size such as 5GB or 500MB')
    return int(float(match[1]) * {'': 1, 'K': 1e3, 'M': 1e6, 'G': 1e9}[match[2].upper()])


def _parser() -> argparse.ArgumentParser:
    formats = '\n'.join(f'  {name:<10}{known.purpose}' for name, known in FORMATS.items())
    parser = argparse.ArgumentParser(
        'python -m emola_jax.convert',
        description=f'{_DESCRIPTION}\n\nformats:\n{formats}',
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', metavar='SOURCE', help='what is read')
    parser.add_argument('--to', required=True, choices=list(FORMATS), help='format to write')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write')
    parser.add_argument('--base', metavar='DIR', help='the model below an adapter')
    parser.add_argument('--clip', metavar='DIR', help='CLIP, where the model has no tower itself')
    parser.add_argument(
        '--dtype', choices=list(DTYPES), help='type of the tensors written (default: as stored)'
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
    """Runs `main`; what is the user's to mend is one message and exit status 1."""
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f'emola_jax.convert: {error}')


if __name__ == '__main__':
    cli()
