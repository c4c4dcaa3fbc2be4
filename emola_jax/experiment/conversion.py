"""The work of the command: reads, writes, verifies."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from pathlib import Path

import jax
from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.experiment import finished_run, sources
from emola_jax.files import checksums
from emola_jax.files.whole import atomic_folder
from emola_jax.formats.purposes import DEFAULT_SHARD_SIZE
from emola_jax.formats.registry import FORMATS, Format
from emola_jax.formats.source import Source, describe
from emola_jax.formats.source import trained as trained_part
from emola_jax.formats.write import Options


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What is read, and what is written of it.

    Attributes:
      source: see `sources.read`, as `base`, `clip` and `allow_download`.
      to: a name of `FORMATS`.
      out: the folder to write.
      dtype: of what is written; None leaves each tensor as it is stored.
      max_shard_size: bytes of the largest file of weights.
      overwrite: whether `out` is replaced.
      verify: whether a sample is run through what was written.
    """

    source: str
    to: str
    out: Path
    base: str | None = None
    clip: str | None = None
    allow_download: bool = False
    dtype: str | None = None
    max_shard_size: int = DEFAULT_SHARD_SIZE
    overwrite: bool = False
    verify: bool = True


def convert(arguments: Conversion) -> None:
    """Reads, writes, verifies; nothing changes on disk unless all of it succeeds.

    Raises:
      UserError: what is read is at fault, or the format cannot express it.
    """
    wanted = FORMATS[arguments.to]
    out: Path = arguments.out
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
        checksums.write(folder)
        sizes = {path.name: path.stat().st_size for path in sorted(folder.rglob('*'))}
    print(f'{out}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB, format {arguments.to}')
    for name, size in sizes.items():
        print(f'  {name}  {size / 1e6:.3f} MB')


def _read(arguments: Conversion, wanted: Format) -> tuple[Source, str]:
    """The source, and why the output will not be verified (empty if it will be).

    An adapter can be written without the base below it, but not be run without it.
    """
    read = functools.partial(
        sources.read,
        arguments.source,
        base=arguments.base,
        clip=arguments.clip,
        allow_download=arguments.allow_download,
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
    difference = wanted.verify(source, folder)
    return f'verified: logits differ by at most {difference:.2e} ({wanted.verified_by()})'


def _size(source: Source, wanted: Format) -> int:
    parts = [source.params] if wanted.needs_base else trained_part(source)
    return sum(tensor.nbytes for part in parts for tensor in part.values())


def _check_out(out: Path, arguments: Conversion) -> None:
    """Raises UserError if nothing may be written there."""
    if not out.exists():
        return
    if not arguments.overwrite:
        raise UserError(f'{out}: exists already; name another --out, or give --overwrite')
    inputs = [name for name in (arguments.source, arguments.base, arguments.clip) if name]
    if any(Path(name).resolve().is_relative_to(out.resolve()) for name in inputs):
        raise UserError(f'{out}: holds what is read; name another --out')
    known = ('config.json', 'adapter_config.json')
    is_model = any((out / name).is_file() for name in known) and not finished_run.is_run(out)
    if not is_model and any(out.iterdir() if out.is_dir() else [out]):
        raise UserError(f'{out}: is no folder that this command wrote; name another --out')
